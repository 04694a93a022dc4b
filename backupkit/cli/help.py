# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The help that ``backupkit --help`` shows, and the exit codes in it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import inspect
from typing import Any

import autopage.argparse
from cliff import _argparse
from cliff import help as cliff_help

DESCRIPTION = """\
Keep safe copies of block volumes, and put them back anywhere.

A volume is named BACKEND:VOLUME, for example local:disk.img. Where it comes
from and where its backups go stands in the configuration; with none at all,
images in ~/.local/share/backupkit/volumes are backed up next to it.

First steps::

  backupkit demo                                  see it all happen once
  backupkit backup create local:disk.img          back up what has changed
  backupkit backup list                           what can be restored
  backupkit backup verify ID --full               re-read and compare
  backupkit backup restore ID --new local:copy    put it back
  backupkit doctor                                what needs a hand
"""

EPILOG = """\
Every command has its own help: backupkit help backup create

Exit codes:
  0    done
  1    failed for another reason; doctor or a validation found problems
  2    wrong command line or configuration, or no such name
  3    a volume could not be found, read or written
  4    stored data is damaged
  5    the target or the catalog failed, is full or is not there
  6    somebody else holds the volume, the run or the repository
  7    a privileged step was refused
  8    the repository was written by a newer release
  9    suspended by a signal or a lost end; what was made is kept
  130  stopped by Ctrl-C or by an answer; what was made is undone
  141  the reader of the output has gone
"""


class HelpFormatter(_argparse.SmartHelpFormatter):
    """Leaves the lines of descriptions and examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # Two colons are for Sphinx, which makes the manual of this.
        return text.replace('::\n', ':\n')


class HelpAction(cliff_help.HelpAction):
    """Show the options, the commands and the exit codes."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Write it all, and leave."""
        app: Any = self.default
        pager = autopage.argparse.help_pager(app.stdout)
        autopage.argparse.use_color_for_parser(parser, pager.to_terminal())
        with pager as out:
            out.write(parser.format_help())
            out.write('\nCommands:\n')
            for name, point in sorted(app.command_manager):
                out.write(f'  {name:<18} {_first_line(point.load())}\n')
            out.write(f'\n{EPILOG}')
        raise cliff_help.HelpExit()


class Help(cliff_help.HelpCommand):
    """Show the help of a command, or of all."""

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Write it.

        :raises errors.UsageError: there is no such command
        """
        app: Any = self.app
        if not parsed_args.cmd:
            app.parser.parse_args(['--help'])
        try:
            return super().take_action(parsed_args)
        except ValueError:
            raise app.unknown(parsed_args.cmd) from None


def _first_line(command: type) -> str:
    text = inspect.getdoc(command) or ''
    line = text.split('\n')[0].rstrip('.')
    return line[:1].upper() + line[1:]

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

"""Completion scripts for shells.

cliff knows bash. For other shells shtab makes the script, from the parsers
of all commands put together as one tree; it need not be installed.
"""

from __future__ import annotations

import argparse
from typing import Any

from cliff import _argparse
from cliff import complete

from backupkit import errors

_SHTAB_SHELLS = ('fish', 'tcsh', 'zsh')


class Complete(complete.CompleteCommand):
    """Print a completion script for a shell."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the shells that cliff lacks."""
        parser = super().get_parser(prog_name)
        for action in parser._actions:
            if action.dest == 'shell':
                action.choices = (*(action.choices or ()), *_SHTAB_SHELLS)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Write the script.

        :raises errors.NotSupported: shtab is needed and is not there
        """
        if parsed_args.shell not in _SHTAB_SHELLS:
            return super().take_action(parsed_args)
        try:
            import shtab
        except ImportError:
            raise errors.NotSupported(
                f'completion for {parsed_args.shell} needs shtab: '
                'pip install "backupkit[completion]"'
            ) from None
        name = parsed_args.name or self.app.NAME
        script = shtab.complete(self._tree(name), shell=parsed_args.shell)
        self.app.stdout.write(script)
        return 0

    def _tree(self, name: str) -> argparse.ArgumentParser:
        """Put the parsers of all commands below the program's own."""
        # cliff's own parser knows how the parsers of commands settle
        # conflicts.
        root = _argparse.ArgumentParser(
            name, add_help=False, parents=[self.app.parser]
        )
        below: dict[tuple[str, ...], Any] = {(): root.add_subparsers()}
        for command, point in sorted(self.app.command_manager):
            *nouns, verb = command.split()
            for depth in range(len(nouns)):
                path = tuple(nouns[: depth + 1])
                if path not in below:
                    noun = below[path[:-1]].add_parser(
                        path[-1], help=f'Commands for a {path[-1]}.'
                    )
                    below[path] = noun.add_subparsers()
            made = point.load()(self.app, None)
            full = made.get_parser(f'{name} {command}')
            below[tuple(nouns)].add_parser(
                verb,
                add_help=False,
                parents=[full],
                help=made.get_description().split('\n')[0],
            )
        return root

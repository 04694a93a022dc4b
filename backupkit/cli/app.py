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

"""The command line as a whole: options before the verb, and one verb."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any

from cliff import app as cliff_app
from cliff import commandmanager
from oslo_config import cfg

from backupkit.cli import completion
from backupkit.cli import help as help_
from backupkit.cli import logs
from backupkit.cli import progress
from backupkit.cli import signals
from backupkit import conf as conf_
from backupkit.copy import control as control_
from backupkit import errors

if TYPE_CHECKING:
    from backupkit import api


class App(cliff_app.App):
    """One run of the program, whose verbs are entry points.

    :param conf: filled from the configuration files; by default the global
        one, which oslo.privsep hands on to its daemon
    """

    NAME = 'backupkit'

    def __init__(self, conf: cfg.ConfigOpts = cfg.CONF) -> None:
        super().__init__(
            help_.DESCRIPTION,
            None,
            commandmanager.CommandManager('backupkit.cli'),
        )
        self.command_manager.add_command('help', help_.Help)
        self.command_manager.add_command('complete', completion.Complete)
        self._conf = conf
        self._closing = contextlib.ExitStack()

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, Any] | None = None,
    ) -> argparse.ArgumentParser:
        """Return the parser of what stands before the verb."""
        parser = argparse.ArgumentParser(
            prog=self.NAME,
            usage='%(prog)s [options] COMMAND ...',
            description=description,
            add_help=False,
            allow_abbrev=False,
            formatter_class=help_.HelpFormatter,
            **(argparse_kwargs or {}),
        )
        _add_configuration(parser)
        _add_output(parser)
        parser.add_argument(
            '--version',
            action=_VersionAction,
            nargs=0,
            help='Show the version, and exit.',
        )
        parser.add_argument(
            '-h',
            '--help',
            action=help_.HelpAction,
            nargs=0,
            default=self,
            help='Show this, and exit.',
        )
        return parser

    def run(self, argv: list[str]) -> int:
        """Run one command line and return its exit code.

        :raises errors.BackupkitError: and what else a verb raises: this
            edge is the caller's
        """
        self.options, rest = self.parser.parse_known_args(argv)
        logs.configure_plainly(self.options, self.stderr)
        with self._closing:
            return self.run_subcommand(rest or ['help'])

    def run_subcommand(self, argv: list[str]) -> int:
        """Find the verb, parse its arguments, and run it.

        :raises errors.UsageError: there is no such verb
        """
        try:
            factory, name, rest = self.command_manager.find_command(argv)
        except ValueError:
            raise self.unknown(argv) from None
        command = factory(self, self.options, cmd_name=name)
        parser = command.get_parser(f'{self.NAME} {name}')
        return command.run(parser.parse_args(rest))

    def load_conf(self) -> cfg.ConfigOpts:
        """Read the configuration, and set up logging by it."""
        load = functools.partial(
            conf_.load,
            self.options.config_file,
            config_dirs=self.options.config_dir,
            conf=self._conf,
        )
        load()
        logs.configure(self.options, self._conf, load)
        return self._conf

    @functools.cached_property
    def unchecked_kit(self) -> api.Backupkit:
        """What the verbs call, whatever the configuration holds."""
        from backupkit import api

        kit = api.Backupkit(self.load_conf())
        return self._closing.enter_context(kit)

    @functools.cached_property
    def kit(self) -> api.Backupkit:
        """What the verbs call.

        :raises errors.ConfigurationError: the configuration has errors
        """
        self.unchecked_kit.require_valid_config()
        return self.unchecked_kit

    @contextlib.contextmanager
    def run_control(self) -> Iterator[control_.Control]:
        """Yield what lets signals stop a run, and shows its progress."""
        quiet = self.options.verbose_level == 0
        mode = 'none' if quiet else self.options.progress
        with (
            progress.reporting(mode, self.stderr) as report,
            progress.beating(report),
        ):
            control = control_.Control(report)
            with signals.reaching(control), control.heeded():
                yield control

    def unknown(self, argv: Sequence[str]) -> errors.UsageError:
        """Return the error that there is no such verb."""
        words = ' '.join(word for word in argv if not word.startswith('-'))
        near = self.get_fuzzy_matches(argv[0])
        meant = f'; did you mean: {", ".join(near)}?' if near else ''
        return errors.UsageError(
            f'there is no command {words or argv[0]!r}{meant}'
        )


def _add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--config-file',
        action='append',
        metavar='FILE',
        help='Read this configuration file, and no default one. May be '
        'repeated; later ones win.',
    )
    parser.add_argument(
        '--config-dir',
        action='append',
        metavar='DIR',
        help='Read the files of this directory that end in .conf, after '
        'the files above. May be repeated.',
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--progress',
        choices=progress.MODES,
        default='auto',
        help='How to show progress on stderr. auto: a bar on a terminal, '
        'else a line every ten seconds. json: a JSON object a line.',
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument(
        '-v',
        '--verbose',
        action='count',
        dest='verbose_level',
        default=1,
        help='Tell on stderr what is done, step by step.',
    )
    loudness.add_argument(
        '-q',
        '--quiet',
        action='store_const',
        dest='verbose_level',
        const=0,
        help='Show no progress and no warnings.',
    )
    parser.add_argument(
        '--log-file',
        metavar='FILE',
        help='Write the log to this file.',
    )
    parser.add_argument(
        '--debug',
        action='store_true',
        help='Log everything, and show where an error comes from.',
    )


class _VersionAction(argparse.Action):
    """Look the version up only when it is asked for: it costs imports."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        from backupkit import version

        sys.stdout.write(f'backupkit {version.version_string()}\n')
        parser.exit()

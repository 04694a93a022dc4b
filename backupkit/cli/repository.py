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

"""``backupkit repository``: what keeps the backups of a target."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import confirm
from backupkit.cli import sizes
from backupkit import errors


class Stats(command.ShowOne):
    """Show what a repository holds and what it costs.

    The sizes are those of all volumes as they were (logical), of what
    differed from backup to backup (changed), of what was kept after
    deduplication (unique) and of what it takes on the target (stored).
    """

    examples = ('backupkit repository stats -f json',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return with_target(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        return columns.show(
            self.shell.kit.repository_stats(parsed_args.target)
        )


class Check(command.ShowOne):
    """Check a whole repository.

    Quick by default: what backups consist of is there, whole by its sizes,
    and fits together. With --read-data every byte is read and compared;
    with --part those of one part of all packs, so that N runs, one a night,
    read the whole repository once. Exits with 4 where damage was found.
    """

    examples = (
        'backupkit repository check',
        'backupkit repository check vault --read-data',
        'backupkit repository check vault --part 3/30',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = with_target(super().get_parser(prog_name))
        much = parser.add_mutually_exclusive_group()
        much.add_argument(
            '--read-data',
            action='store_true',
            help='Read and compare every byte.',
        )
        much.add_argument(
            '--part',
            metavar='K/N',
            type=_part,
            help='Read and compare every byte of part K of N, the first '
            'being 1.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        with self.shell.run_control() as control:
            report = self.shell.kit.check_repository(
                parsed_args.target,
                read_data=parsed_args.read_data,
                part=parsed_args.part,
                control=control,
            )
        if not report.good:
            self.exit_code = errors.Damaged.exit_code
        return columns.show({'good': report.good} | columns.plain(report))


class Gc(command.ShowOne):
    """Give back the space that no backup needs any more.

    Packs that hold nothing of use are deleted. Where too much is left in
    packs that are still needed for something, what is of use is moved out
    of those with the least of it, and they are deleted too.

    While runs are on that began earlier, gc says what it waits for and
    leaves the rest to a later call.
    """

    examples = (
        'backupkit repository gc',
        'backupkit repository gc vault --max-unused 5%',
        'backupkit repository gc vault --max-unused 100%',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = with_target(super().get_parser(prog_name))
        parser.add_argument(
            '--max-unused',
            metavar='PERCENT',
            type=sizes.share,
            default=0.2,
            help='How much of what is stored may stay though no backup needs '
            'it. Less means less space, and more to read and write for each '
            'gc; 100%% moves nothing. The default is 20%%.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        with self.shell.run_control() as control:
            result = self.shell.kit.collect_garbage(
                parsed_args.target,
                max_unused=parsed_args.max_unused,
                control=control,
            )
        return columns.show(columns.plain(result))


class Adopt(command.ShowOne):
    """Take over the writing to a repository from another catalog.

    For the day when the catalog that wrote it is lost. Nothing that uses
    the other catalog may run any more: two writers that do not know of
    each other lose data.
    """

    examples = ('backupkit repository adopt vault',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = with_target(super().get_parser(prog_name))
        confirm.add_argument(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        # Scripts have always called this without --yes: they are not asked.
        confirm.confirm(
            'no backup, delete or gc with the former catalog may run now or '
            'later',
            yes=parsed_args.yes or not sys.stdin.isatty(),
        )
        return columns.show(
            self.shell.kit.adopt_repository(parsed_args.target)
        )


def _part(text: str) -> tuple[int, int]:
    """Return K and N of ``K/N``."""
    number, slash, count = text.partition('/')
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise argparse.ArgumentTypeError(
            f'{text!r} does not name a part: write K/N, for example 3/30'
        )
    return int(number), int(count)


def with_target(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the target that a command works on."""
    parser.add_argument(
        'target',
        metavar='TARGET',
        nargs='?',
        help='The default is default_target.',
    )
    return parser

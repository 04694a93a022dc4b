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
"""``backupkit backup protect``, ``unprotect`` and ``prune``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys
from typing import TYPE_CHECKING, Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import confirm
from backupkit.cli import described
from backupkit.cli import sizes

if TYPE_CHECKING:
    from backupkit.api import results
    from backupkit.api import retention

_COLUMNS = (
    'id',
    'volume',
    'target',
    'created_at',
    'action',
    'reasons',
    'problem',
)


class Protect(command.ShowOne):
    """Keep a backup from being pruned or deleted.

    Until "backupkit backup unprotect" is called on it. The catalog knows
    that, not the target: "backup export" takes it along.
    """

    examples = ('backupkit backup protect 3f2a9c41',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return described.with_id(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        row = self.shell.kit.protect_backup(parsed_args.backup_id)
        return columns.show(described.describe(row))


class Unprotect(command.ShowOne):
    """Let a backup be pruned and deleted again."""

    examples = ('backupkit backup unprotect 3f2a9c41',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return described.with_id(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        row = self.shell.kit.unprotect_backup(parsed_args.backup_id)
        return columns.show(described.describe(row))


class Prune(command.Lister):
    """Delete the backups that no rule keeps.

    Each volume on each target is looked at by itself; a backup stays where
    any of the rules keeps it, and where it is protected. Of a day, a week
    (from Monday) or a month the newest backup is kept; all of them are
    those of UTC, and only those count on which there was a backup. Damaged
    backups neither count nor are deleted.

    Asks at a terminal before anything is deleted. Where the rules would
    delete every backup that a volume has on a target, nothing is done
    without --yes. The space comes back with "backupkit repository gc".
    """

    examples = (
        'backupkit backup prune --keep-daily 7 --keep-weekly 4 --dry-run',
        'backupkit backup prune --target vault --keep-within 30d --yes',
        'backupkit backup prune --volume local:db01 --keep-last 3',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_rules(parser)
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            '--volume',
            metavar='BACKEND:VOLUME',
            help='Only backups of this volume.',
        )
        which.add_argument(
            '--backend',
            help='Only backups of volumes of this backend.',
        )
        parser.add_argument('--target', help='Only backups on this target.')
        parser.add_argument(
            '--dry-run',
            action='store_true',
            help='Show what would be deleted, and do nothing.',
        )
        parser.add_argument(
            '-y',
            '--yes',
            action='store_true',
            help='Do not ask, and let a volume lose all of its backups if '
            'the rules say so.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        rules = _rules(parsed_args)
        scope = {
            'backend': parsed_args.backend,
            'volume': parsed_args.volume,
            'target': parsed_args.target,
        }
        kit = self.shell.kit
        if parsed_args.dry_run:
            return _table(kit.plan_prune(rules, **scope))
        if sys.stdin.isatty() and not parsed_args.yes:
            planned = kit.plan_prune(rules, **scope)
            doomed = sum(one.action == 'remove' for one in planned)
            if doomed:
                confirm.confirm(
                    f'{doomed} backups will be deleted for ever', yes=False
                )
        with self.shell.run_control() as control:
            told = kit.prune_backups(
                rules, **scope, empty=parsed_args.yes, control=control
            )
        self.exit_code = max(one.exit_code for one in told) if told else 0
        return _table(told)


def _add_rules(parser: argparse.ArgumentParser) -> None:
    for name, text in (
        ('last', 'The newest N backups stay.'),
        ('daily', 'The newest backup of each of the last N days stays.'),
        ('weekly', 'The newest backup of each of the last N weeks stays.'),
        ('monthly', 'The newest backup of each of the last N months stays.'),
    ):
        parser.add_argument(
            f'--keep-{name}', metavar='N', type=_number, help=text
        )
    parser.add_argument(
        '--keep-within',
        metavar='TIME',
        type=sizes.duration,
        help='Backups no older than this stay, seen from the newest backup '
        'of the volume: 12h, 30d or 8w.',
    )


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a number')
    return int(text)


def _rules(parsed_args: argparse.Namespace) -> retention.Rules:
    from backupkit.api import retention

    return retention.Rules(
        last=parsed_args.keep_last,
        daily=parsed_args.keep_daily,
        weekly=parsed_args.keep_weekly,
        monthly=parsed_args.keep_monthly,
        within=parsed_args.keep_within,
    )


def _table(
    told: Sequence[results.PruneEntry],
) -> tuple[Sequence[str], Sequence[Any]]:
    return columns.rows(
        _COLUMNS,
        ({**columns.plain(one), 'id': one.backup_id} for one in told),
    )

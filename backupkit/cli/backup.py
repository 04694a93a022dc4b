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

"""``backupkit backup``: make, list, verify, restore and delete backups."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import confirm
from backupkit.cli import described
from backupkit.cli import overrides
from backupkit.cli import sizes
from backupkit import errors

_LISTED = (
    'id',
    'name',
    'volume',
    'target',
    'status',
    'kind',
    'size_bytes',
    'stored_bytes',
    'created_at',
)


class Create(command.ShowOne):
    """Back up a volume.

    Only what has changed since the last good backup on the same target is
    stored. Where no earlier backup is there, or with --full, everything is
    read. Every backup can be restored and deleted by itself.
    """

    examples = (
        'backupkit backup create local:disk.img',
        'backupkit backup create local:db01 --target vault --name weekly',
        'backupkit backup create local:db01 -f json',
        'backupkit backup create local:db01 --dry-run',
        'backupkit backup create local:db01 --dry-run -f value -c dot',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('volume', metavar='BACKEND:VOLUME')
        parser.add_argument(
            '--target',
            help='Where to keep the backup; the default is default_target.',
        )
        parser.add_argument(
            '--full',
            action='store_true',
            help='Read everything, whatever an earlier backup holds.',
        )
        parser.add_argument(
            '--name', default='', help='A name for people to know it by.'
        )
        parser.add_argument(
            '--force',
            action='store_true',
            help='Back up a volume that is in use and of which no snapshot '
            'can be made. Where it changes meanwhile, the backup is marked '
            'as not consistent.',
        )
        parser.add_argument(
            '--mode',
            choices=('auto', 'hot', 'cold'),
            default='auto',
            help='hot: read a snapshot, so that the volume may be in use. '
            'cold: read the volume itself, which must not be in use. The '
            'default, auto, takes a snapshot where there can be one.',
        )
        parser.add_argument(
            '--dry-run',
            action='store_true',
            help='Show the tasks that would be run, and do nothing.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        if parsed_args.dry_run:
            return self._plan(parsed_args)
        with self.shell.run_control() as control:
            row = self.shell.kit.create_backup(
                parsed_args.volume,
                target=parsed_args.target,
                name=parsed_args.name,
                full=parsed_args.full,
                force=parsed_args.force,
                mode=parsed_args.mode,
                control=control,
            )
        return columns.show(described.describe(row))

    def _plan(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        plan = self.shell.kit.plan_backup(
            parsed_args.volume,
            target=parsed_args.target,
            full=parsed_args.full,
            force=parsed_args.force,
            mode=parsed_args.mode,
        )
        names = ('task', 'requires', 'provides')
        steps = [dict(zip(names, step)) for step in plan.steps]
        return columns.show(
            {
                'volume': plan.volume,
                'target': plan.target,
                'size_bytes': plan.size_bytes,
                'snapshot': plan.snapshot,
                'compare': plan.compare,
                'consistent': plan.consistent,
                'steps': columns.Drawn(columns.plain(steps), plan.text),
                'dot': columns.Drawn(plan.dot, 'see -f value -c dot'),
            }
        )


class List(command.Lister):
    """List backups, the oldest first."""

    examples = (
        'backupkit backup list',
        'backupkit backup list --volume local:db01 -f json',
        'backupkit backup list -f value -c id --target vault',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--volume',
            metavar='BACKEND:VOLUME',
            help='Only backups of this volume.',
        )
        parser.add_argument('--target', help='Only backups on this target.')
        parser.add_argument(
            '--all',
            action='store_true',
            help='Show those too that failed or were deleted.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        found = self.shell.kit.list_backups(
            volume=parsed_args.volume,
            target=parsed_args.target,
            everything=parsed_args.all,
        )
        return columns.rows(_LISTED, map(described.describe, found))


class Show(command.ShowOne):
    """Show all that is recorded of a backup."""

    examples = ('backupkit backup show 3f2a9c41 -f yaml',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return described.with_id(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        row = self.shell.kit.show_backup(parsed_args.backup_id)
        return columns.show(described.describe(row))


class Verify(command.ShowOne):
    """Check that a backup can be restored.

    Quick by default: what the backup consists of is there, whole by its
    sizes, and fits together. With --full every byte is read and compared,
    with --sample a share of them, others each time. Exits with 4 where
    damage was found; the next backup of the volume stores anew what is
    damaged.
    """

    examples = (
        'backupkit backup verify 3f2a9c41 --full',
        'backupkit backup verify 3f2a9c41 --sample 5%',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = described.with_id(super().get_parser(prog_name))
        much = parser.add_mutually_exclusive_group()
        much.add_argument(
            '--full', action='store_true', help='Read and compare every byte.'
        )
        much.add_argument(
            '--sample',
            metavar='PERCENT',
            type=sizes.share,
            help='Read and compare so much of the backup, chosen by chance.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        with self.shell.run_control() as control:
            report = self.shell.kit.verify_backup(
                parsed_args.backup_id,
                full=parsed_args.full,
                share=parsed_args.sample,
                control=control,
            )
        if not report.good:
            self.exit_code = errors.Damaged.exit_code
        return columns.show(
            {'id': parsed_args.backup_id, 'good': report.good}
            | columns.plain(report)
        )


class Delete(command.Command):
    """Delete a backup.

    Other backups stay whole, whichever is deleted. One that is protected
    cannot be deleted. The space comes back with "backupkit repository gc".
    """

    examples = (
        'backupkit backup delete 3f2a9c41',
        'backupkit backup delete 3f2a9c41 --yes',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = described.with_id(super().get_parser(prog_name))
        confirm.add_argument(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        confirm.confirm(
            f'backup {parsed_args.backup_id} will be deleted for ever',
            yes=parsed_args.yes,
        )
        with self.shell.run_control() as control:
            self.shell.kit.delete_backup(
                parsed_args.backup_id, control=control
            )


class Restore(command.ShowOne):
    """Write a backup to a volume.

    Every byte is checked before it is written. A volume that is there
    already is written only with --overwrite, and keeps its size.
    """

    examples = (
        'backupkit backup restore 3f2a9c41 --new local:db01-restored',
        'backupkit backup restore 3f2a9c41 --to local:db01 --overwrite',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = described.with_id(super().get_parser(prog_name))
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument(
            '--to',
            metavar='BACKEND:VOLUME',
            help='Write to this volume, which exists.',
        )
        where.add_argument(
            '--new',
            metavar='BACKEND:NAME',
            help='Make a new volume of this name, and write to it.',
        )
        parser.add_argument(
            '--overwrite',
            action='store_true',
            help='With --to: what the volume holds may be lost.',
        )
        parser.add_argument(
            '--meta-override',
            metavar='FILE',
            help='With --new: a JSON object with properties that the volume '
            'is to have in place of those of the backup.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        with self.shell.run_control() as control:
            result = self.shell.kit.restore_backup(
                parsed_args.backup_id,
                to=parsed_args.to,
                new=parsed_args.new,
                overwrite=parsed_args.overwrite,
                properties=overrides.read(parsed_args.meta_override),
                control=control,
            )
        return columns.show(columns.plain(result))

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

"""``backupkit volume snapshot``: snapshots that stay until deleted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import confirm

_LISTED = ('name', 'volume', 'size_bytes')


class List(command.Lister):
    """List the snapshots of a volume, oldest first.

    Those named backupkit-ID are made by backups: for their own time, or to
    tell the next backup what has changed.
    """

    examples = ('backupkit volume snapshot list nas:db01',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('volume', metavar='BACKEND:VOLUME')
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        found = self.shell.kit.list_snapshots(parsed_args.volume)
        return columns.rows(_LISTED, map(columns.plain, found))


class Create(command.ShowOne):
    """Make a snapshot of a volume.

    It stays until it is deleted. A backup needs none: it makes its own.
    """

    examples = ('backupkit volume snapshot create nas:db01 before-upgrade',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return _with_snapshot(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        entry = self.shell.kit.create_snapshot(
            parsed_args.volume, parsed_args.name
        )
        return columns.show(columns.plain(entry))


class Delete(command.Command):
    """Delete a snapshot of a volume; the volume itself stays as it is."""

    examples = ('backupkit volume snapshot delete nas:db01 before-upgrade',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = _with_snapshot(super().get_parser(prog_name))
        confirm.add_argument(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        confirm.confirm(
            f'snapshot {parsed_args.name} of volume {parsed_args.volume} '
            'will be deleted',
            yes=parsed_args.yes,
        )
        self.shell.kit.delete_snapshot(parsed_args.volume, parsed_args.name)


def _with_snapshot(
    parser: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    parser.add_argument('volume', metavar='BACKEND:VOLUME')
    parser.add_argument('name', metavar='NAME')
    return parser

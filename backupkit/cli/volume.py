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

"""``backupkit volume``: the volumes that the enabled backends reach."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import confirm
from backupkit.cli import sizes

_LISTED = ('volume', 'size_bytes', 'format', 'in_use')


class List(command.Lister):
    """List volumes."""

    examples = ('backupkit volume list', 'backupkit volume list local')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'backend',
            metavar='BACKEND',
            nargs='?',
            help='Only volumes of this backend; the default is all.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        found = self.shell.kit.list_volumes(parsed_args.backend)
        return columns.rows(_LISTED, map(columns.plain, found))


class Show(command.ShowOne):
    """Show what a backend knows of a volume."""

    examples = ('backupkit volume show local:disk.img',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return _with_volume(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        entry = self.shell.kit.show_volume(parsed_args.volume)
        return columns.show(columns.plain(entry))


class Create(command.ShowOne):
    """Create an empty volume."""

    examples = ('backupkit volume create local:db02 10G',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = _with_volume(super().get_parser(prog_name))
        parser.add_argument(
            'size_bytes',
            metavar='SIZE',
            type=sizes.parse,
            help='In bytes, or as 512M, 10G, 10GiB, 1.5T.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        entry = self.shell.kit.create_volume(
            parsed_args.volume, parsed_args.size_bytes
        )
        return columns.show(columns.plain(entry))


class Delete(command.Command):
    """Delete a volume and all that it holds.

    Backups of the volume stay.
    """

    examples = ('backupkit volume delete local:db02',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = _with_volume(super().get_parser(prog_name))
        confirm.add_argument(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        confirm.confirm(
            f'volume {parsed_args.volume} will be deleted with its data',
            yes=parsed_args.yes,
        )
        self.shell.kit.delete_volume(parsed_args.volume)


class Clone(command.ShowOne):
    """Create a volume that is as another one is.

    Both lie on one backend, and can be written and deleted in any order.
    """

    examples = (
        'backupkit volume clone local:db01 local:try',
        'backupkit volume clone nas:db01 nas:old --snapshot before-upgrade',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('source', metavar='SOURCE')
        parser.add_argument('volume', metavar='BACKEND:VOLUME')
        parser.add_argument(
            '--snapshot',
            metavar='NAME',
            help='As the source was at this snapshot; by default as it is.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        entry = self.shell.kit.clone_volume(
            parsed_args.source,
            parsed_args.volume,
            snapshot=parsed_args.snapshot,
        )
        return columns.show(columns.plain(entry))


def _with_volume(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument('volume', metavar='BACKEND:VOLUME')
    return parser

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

"""Checkpoints: what tells the next backup what changed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command

_LISTED = ('volume', 'target', 'name', 'made_at')


class List(command.Lister):
    """List what is kept of volumes between their backups.

    A checkpoint is named after the backup since which it tells the changes.
    """

    examples = (
        'backupkit checkpoint list',
        'backupkit checkpoint list nas:db01',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'volume',
            metavar='BACKEND:VOLUME',
            nargs='?',
            help='Only those of this volume; the default is all.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        found = self.shell.kit.list_checkpoints(parsed_args.volume)
        return columns.rows(_LISTED, map(columns.plain, found))


class Drop(command.Command):
    """Drop the checkpoints of a volume.

    The next backup of the volume to each target then reads all of it. No
    backup is lost.
    """

    examples = ('backupkit checkpoint drop nas:db01',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('volume', metavar='BACKEND:VOLUME')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        self.shell.kit.drop_checkpoints(parsed_args.volume)

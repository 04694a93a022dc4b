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
"""``backupkit backup copy``: the same backup on a second target."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import described


class Copy(command.ShowOne):
    """Copy a backup to another target.

    The volume is not needed. What the target holds already is not moved
    again, and every byte that moves is checked against its digest. The copy
    is a backup of its own: it can be restored and deleted by itself, and
    its record tells in copy_of of which backup it is a copy.
    """

    examples = (
        'backupkit backup copy 3f2a9c41 --to vault',
        'backupkit backup copy 3f2a9c41 --to vault -f value -c id',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = described.with_id(super().get_parser(prog_name))
        parser.add_argument(
            '--to',
            metavar='TARGET',
            required=True,
            help='The target that is to have it too.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        with self.shell.run_control() as control:
            row = self.shell.kit.copy_backup(
                parsed_args.backup_id, to=parsed_args.to, control=control
            )
        return columns.show(described.describe(row))

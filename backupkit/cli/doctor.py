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

"""``backupkit doctor``: what needs a hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import confirm

_LISTED = ('area', 'name', 'state', 'message', 'cure')


class Doctor(command.Lister):
    """Look for what is wrong or left over, and say what to do.

    Looks at the configuration, the drivers, the catalog, the targets, and
    at what runs that died have left. Exits with 1 where there is a
    problem.
    """

    examples = ('backupkit doctor', 'backupkit doctor --clear')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--clear',
            action='store_true',
            help='Remove what dead runs have left. Runs that are suspended '
            'or alive are not touched.',
        )
        confirm.add_argument(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        if parsed_args.clear:
            confirm.confirm(
                'what dead runs have left will be removed',
                yes=parsed_args.yes,
            )
        found = self.shell.unchecked_kit.doctor(clear=parsed_args.clear)
        if any(diagnosis.state == 'problem' for diagnosis in found):
            self.exit_code = 1
        return columns.rows(_LISTED, map(columns.plain, found))

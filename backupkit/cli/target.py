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

"""``backupkit target``: the places that backups are kept at."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command

_LISTED = ('test', 'outcome', 'message')
_GOOD = ('ok', 'skipped')


class Validate(command.Lister):
    """Test whether a target keeps the promises that backups rest on.

    Runs the tests that are made for authors of drivers against the
    configured target, in a corner of its own, and removes what it has put
    there. Exits with 1 where a test fails.
    """

    examples = ('backupkit target validate vault',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('target', metavar='NAME')
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        with self.shell.run_control() as control:
            results = self.shell.kit.validate_target(
                parsed_args.target, control=control
            )
        if any(outcome not in _GOOD for _, outcome, _ in results):
            self.exit_code = 1
        return columns.rows(
            _LISTED, [dict(zip(_LISTED, result)) for result in results]
        )

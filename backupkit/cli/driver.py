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

"""``backupkit driver``: what is installed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command

_LISTED = (
    'kind',
    'name',
    'ok',
    'contract',
    'distribution',
    'summary',
    'problem',
)


class List(command.Lister):
    """List the installed drivers, and what keeps any from working."""

    examples = ('backupkit driver list',)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        found = self.shell.kit.list_drivers()
        return columns.rows(_LISTED, map(columns.plain, found))

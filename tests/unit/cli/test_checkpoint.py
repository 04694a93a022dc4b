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

"""The commands about checkpoints."""

from __future__ import annotations

import json

from backupkit.api import results
from tests.unit.cli import program


class CheckpointTest(program.ProgramTest):
    def test_when_listed_then_scripts_find_their_facts(self) -> None:
        entry = results.CheckpointEntry(
            'local:v', 'repo', 'backupkit-1', '2026-11-21T09:00:00+00:00'
        )
        self.kit.list_checkpoints.return_value = [entry]
        outcome = self.call('checkpoint', 'list', 'local:v', '-f', 'json')
        self.assertEqual((0, ''), (outcome.code, outcome.stderr))
        self.assertEqual(
            [
                {
                    'volume': 'local:v',
                    'target': 'repo',
                    'name': 'backupkit-1',
                    'made_at': '2026-11-21T09:00:00+00:00',
                }
            ],
            json.loads(outcome.stdout),
        )
        self.kit.list_checkpoints.assert_called_once_with('local:v')

    def test_when_dropped_then_nothing_is_said(self) -> None:
        outcome = self.call('checkpoint', 'drop', 'local:v')
        self.assertEqual(
            (0, '', ''), (outcome.code, outcome.stdout, outcome.stderr)
        )
        self.kit.drop_checkpoints.assert_called_once_with('local:v')

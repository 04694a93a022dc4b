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

"""Backups to Swift whose client is killed at random moments.

These are as many as the time allows here; ``tests/long`` has 50.
"""

from __future__ import annotations

import pathlib
from typing import ClassVar

from backupkit import api
from tests.functional import test_kills
from tests.swift import cloud
from tests.swift import place
from tests.swift import stand


def _back_up(kit: api.Backupkit, scene: test_kills.Scene) -> object:
    return kit.create_backup('local:db01')


class SwiftKillTest(test_kills.KillCase):
    """Each killed client may leave a request on its way in the cluster.

    :cvar kills: how many
    """

    kept = 2
    kills: ClassVar[int] = 15

    def make_place(self, root: pathlib.Path) -> None:
        super().make_place(root)
        place.write(root, stand.container(), cloud.cloud().auth_url)

    def test_when_a_backup_is_killed_then_nothing_is_lost(self) -> None:
        self.kill(self.kills, _back_up, self.none_is_lost)

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

"""A thousand killed runs, each gone on with by another process."""

from __future__ import annotations

from tests.functional import test_kills
from tests.functional import test_resumed_kills


class BackupTest(test_kills.BackupKillTest):
    endings = ('resume',)
    kills = 200


class RestoreTest(test_kills.RestoreKillTest):
    endings = ('resume',)
    kills = 150


class DeleteTest(test_kills.DeleteKillTest):
    endings = ('resume',)
    kills = 150


class CollectTest(test_kills.CollectKillTest):
    endings = ('resume',)
    kills = 100


class SnapshotTest(test_kills.SnapshotKillTest):
    endings = ('resume', 'create')
    kills = 200


class CopiedAgainTest(test_resumed_kills.ResumedKillTest):
    kills = 25
    size = 1024**3
    pack = 32 * 1024**2

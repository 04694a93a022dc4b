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

"""Many processes on one share."""

from __future__ import annotations

import contextlib
import subprocess
import sys

from tests.nfs import rights
from tests.nfs import server
from tests.nfs import stand

_PROCESSES = 8
_ROUNDS = 2
_MIB = 1024**2
_LOOK_SECONDS = 0.02


class CrowdTest(stand.NfsStand):
    def test_when_many_mount_and_unmount_then_there_is_one_mount(
        self,
    ) -> None:
        contents = {
            f'db{number}': self.fill(f'db{number}', number, _MIB)
            for number in range(_PROCESSES)
        }
        processes = [self._start(name) for name in contents]
        for process in processes:
            with process:
                self._watch(process)
        with self.connect() as kit:
            made = kit.list_backups()
            self.assertEqual(_PROCESSES * _ROUNDS, len(made))
            self.assert_contents(
                kit, {row.backup_id: contents[row.volume_id] for row in made}
            )
            self.assert_nothing_left(kit)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(sys.executable, '-m', 'tests.nfs.worker'),
                *(rights.CONFIGURATION, f'local:{name}', str(_ROUNDS)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for its end, and look at the mounts all the time."""
        told = b''
        while process.returncode is None:
            self.assertLessEqual(len(server.mounts()), 1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, told = process.communicate(timeout=_LOOK_SECONDS)
        self.assertEqual(0, process.returncode, told.decode())

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

"""A server that goes away in the middle of a backup, and comes back."""

from __future__ import annotations

from collections.abc import Callable
import threading

from backupkit.copy import control
from backupkit import errors
from tests.nfs import kernel
from tests.nfs import server
from tests.nfs import stand

_MIB = 1024**2
_SIZE = 24 * _MIB
#: A client must notice that its server is away.
_AWAY_SECONDS = 3


class OutagesTest(stand.NfsStand):
    def create(
        self, fault: Callable[[], None], cure: Callable[[], None]
    ) -> None:
        """Make a backup while something happens to its server."""
        digest = self.fill('db01', 1, _SIZE)
        timer = threading.Timer(_AWAY_SECONDS, cure)
        self.addCleanup(timer.join)

        def strike() -> None:
            fault()
            timer.start()

        kit = self.connect()
        made = kit.create_backup('local:db01', control=_halfway(strike))
        self.assertTrue(timer.finished.is_set())
        self.assertEqual(digest, self.restored(kit, made.backup_id))
        self.assert_sound(kit)
        self.assert_nothing_left(kit)

    def test_when_the_server_restarts_then_the_backup_goes_on(self) -> None:
        self.create(
            lambda: server.do(kernel.stop),
            lambda: server.do(kernel.start, grace=True),
        )

    def test_when_the_server_loses_power_then_the_backup_goes_on(
        self,
    ) -> None:
        self.create(
            lambda: server.do(kernel.crash), lambda: server.do(kernel.boot)
        )

    def test_when_the_server_is_silent_then_the_backup_goes_on(self) -> None:
        self.create(
            lambda: server.do(kernel.pause), lambda: server.do(kernel.resume)
        )

    def test_when_the_share_is_full_then_it_is_told_and_can_be_repeated(
        self,
    ) -> None:
        digest = self.fill('db01', 1, _SIZE)
        fillers: list[str] = []
        kit = self.connect()
        with self.assertRaises(errors.TargetFull):
            kit.create_backup(
                'local:db01',
                control=_halfway(
                    lambda: fillers.append(
                        server.do(kernel.fill, self.exported)
                    )
                ),
            )
        server.do(kernel.remove, fillers[0])
        made = kit.create_backup('local:db01')
        self.assertEqual(digest, self.restored(kit, made.backup_id))
        self.assert_nothing_left(kit)

    def test_when_the_share_turns_read_only_then_it_can_be_repeated(
        self,
    ) -> None:
        digest = self.fill('db01', 1, _SIZE)
        kit = self.connect()
        self.addCleanup(self._set_read_only, read_only=False)
        with self.assertRaises(errors.TargetReadOnly):
            kit.create_backup(
                'local:db01',
                control=_halfway(lambda: self._set_read_only(read_only=True)),
            )
        self._set_read_only(read_only=False)
        made = kit.create_backup('local:db01')
        self.assertEqual(digest, self.restored(kit, made.backup_id))

    def test_when_the_disk_was_replaced_then_it_is_told(self) -> None:
        self.fill('db01', 1, _MIB)
        kit = self.connect()
        kit.create_backup('local:db01')
        server.do(kernel.replace_disk, self.exported)
        with self.assertRaises(errors.TargetError):
            kit.create_backup('local:db01')

    def _set_read_only(self, *, read_only: bool) -> None:
        server.do(kernel.set_read_only, self.exported, read_only=read_only)


def _halfway(strike: Callable[[], None]) -> control.Control:
    """Return a control that strikes once, when half has been copied."""
    lock = threading.Lock()
    waiting = [strike]

    def report(progress: control.Progress) -> None:
        if progress.step == 'backup' and progress.done_bytes > _SIZE // 2:
            with lock:
                if waiting:
                    waiting.pop()()

    return control.Control(report)

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

"""Killed copies are gone on with: how much of them is copied again.

Some of the 200 kills of :mod:`tests.functional.test_kills`.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import mmap
import os
import pathlib
import random
import signal
import statistics
import struct
import tempfile
from typing import Any, ClassVar
from unittest import mock

from backupkit import api
from backupkit import catalog
from backupkit.copy import raw
from backupkit.flows import progress
from backupkit_plugins.targets.posix import store
from tests.functional import configuration
from tests.functional import forks
from tests.functional import stand
from tests.functional import systems

_MIB = 1024**2
_NAME = 'db01'
_VOLUME = f'local:{_NAME}'
#: Each has a pack in hand: two threads copy, and two put.
_WORKERS = 4
_COUNT = struct.Struct('<Q')
_VAULT = """\
[DEFAULT]
enabled_targets = repo, vault
[target:vault]
driver = posix
backup_posix_path = {root}/vault
chunk_size_bytes = 262144
pack_size_bytes = {pack}
"""


class _Meter:
    """Counts bytes over processes, also over those that are killed.

    A process that was forked since ``limit`` was set kills itself when so
    many are counted, whatever its other threads are at.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _COUNT.size)
        self.limit: int | None = None

    @property
    def count(self) -> int:
        return int(_COUNT.unpack(self._shared[:])[0])

    @contextlib.contextmanager
    def counting(self, owner: Any, name: str) -> Any:
        """Count the bytes in the buffers that a method is given."""
        call = getattr(owner, name)

        def counted(self_: Any, where: Any, buffers: Any) -> Any:
            length = sum(len(buffer) for buffer in buffers)
            found = call(self_, where, buffers)
            # Lost counts would only be to our disadvantage: none are, as
            # the interpreter's lock is held.
            self._shared[:] = _COUNT.pack(self.count + length)
            if self.limit is not None and self.count >= self.limit:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        with mock.patch.object(owner, name, counted):
            yield


class ResumedKillTest(stand.Stand):
    """On a file system with snapshots, a volume of many packs."""

    kills: ClassVar[int] = 7
    size: ClassVar[int] = 160 * _MIB
    pack: ClassVar[int] = 16 * _MIB

    def make_place(self, root: pathlib.Path) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        place = pathlib.Path(made.name).resolve() / 'xfs'
        systems.mount_loop(
            self, place, 'xfs', systems.XFS_BYTES + 8 * self.size
        )
        self.root = place
        self.volumes = place / 'volumes'
        configuration.write(
            place,
            f'chunk_size_bytes = 262144\npack_size_bytes = {self.pack}\n',
        )
        (place / 'vault').mkdir()
        (place / 'vault.conf').write_text(
            _VAULT.format(root=place, pack=self.pack)
        )

    def connect(self) -> api.Backupkit:
        """Return a new connection that knows the other target as well."""
        names = ('backupkit.conf', 'vault.conf')
        return api.connect([str(self.root / name) for name in names])

    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(self.id())
        self.change_all()
        forks.learn(self.exercise)

    def change_all(self) -> None:
        """Give the volume a content that was never seen."""
        with (self.volumes / _NAME).open('wb') as image:
            for _ in range(self.size // _MIB):
                image.write(self.random.randbytes(_MIB))

    def exercise(self) -> None:
        with self.connect() as kit:
            made = kit.create_backup(_VOLUME).backup_id
            self.restored(kit, made)
            kit.delete_backup(made)
            kit.collect_garbage()

    def back_up(self) -> str:
        with self.connect() as kit:
            return kit.create_backup(_VOLUME).backup_id

    @property
    def bound(self) -> int:
        """What may be copied again, in the mean."""
        return max(self.size // 100, _WORKERS * self.pack)

    def again(
        self,
        work: Callable[[api.Backupkit], object],
        owner: Any,
        method: str,
    ) -> int:
        """Kill a copy in its middle and resume it; count what came twice."""
        meter = _Meter()

        def act(unused: forks.Ready) -> None:
            with meter.counting(owner, method), self.connect() as kit:
                work(kit)

        def resume() -> None:
            with meter.counting(owner, method), self.connect() as kit:
                (run,) = kit.list_runs()
                run = kit.resume_run(run.run_id)
                self.assertEqual(catalog.RunState.DONE, run.state)

        meter.limit = self.random.randrange(self.size // 8, self.size)
        child = forks.Child(act)
        self.assertTrue(child.ended_within(120))
        self.assertEqual(-signal.SIGKILL, child.end())
        meter.limit = None
        before = meter.count
        forks.call(resume)
        self.assertLess(before, meter.count + 1)
        return meter.count - self.size

    def assert_bound(self, found: list[int]) -> None:
        self.assertEqual(self.kills, len(found))
        mean = statistics.mean(found)
        self.assertLessEqual(mean, self.bound, [n / _MIB for n in found])

    def test_when_backups_are_resumed_then_little_is_read_again(self) -> None:
        found = []
        for _ in range(self.kills):
            self.change_all()
            expected = self.digest(_NAME)
            found.append(
                self.again(
                    lambda kit: kit.create_backup(_VOLUME),
                    raw.RawReader,
                    'read_into',
                )
            )
            forks.call(lambda expected=expected: self.check(expected))  # type: ignore[misc]  # a default for the loop
        self.assert_bound(found)

    def check(self, expected: str) -> None:
        """Check the backup that was resumed, and remove it."""
        with self.connect() as kit:
            (made,) = self.good(kit)
            self.assert_contents(kit, {made: expected})
            self.assert_sound(kit)
            kit.delete_backup(made)
            kit.collect_garbage()
            self.assert_nothing_left(kit)

    def test_when_restores_are_resumed_then_little_is_written_again(
        self,
    ) -> None:
        made = forks.call(self.back_up)
        expected = self.digest(_NAME)
        found = []
        # As with packs of the usual size.
        step = mock.patch.object(progress, 'STEP_BYTES', self.pack)
        step.start()
        self.addCleanup(step.stop)
        for _ in range(self.kills):
            found.append(
                self.again(
                    lambda kit: kit.restore_backup(made, new='local:new'),
                    raw.RawWriter,
                    'write',
                )
            )
            self.assertEqual(expected, self.digest('new'))
            forks.call(self.remove_restored)
        self.assert_bound(found)

    def test_when_copies_are_resumed_then_little_is_put_again(self) -> None:
        found = []
        for _ in range(self.kills):
            self.change_all()
            expected = self.digest(_NAME)
            forks.call(self.back_up)
            found.append(self.again(self.copy, store.PosixStore, 'put'))
            forks.call(lambda expected=expected: self.check_copy(expected))  # type: ignore[misc]  # a default for the loop
        self.assert_bound(found)

    def copy(self, kit: api.Backupkit) -> None:
        (made,) = self.good(kit)
        kit.copy_backup(made, to='vault')

    def check_copy(self, expected: str) -> None:
        """Check the copy that was resumed, and remove all."""
        with self.connect() as kit:
            both = self.good(kit)
            self.assertEqual(2, len(both))
            self.assert_contents(kit, dict.fromkeys(both, expected))
            report = kit.check_repository('vault', read_data=True)
            self.assertEqual((), report.findings)
            for one in both:
                kit.delete_backup(one)
            kit.collect_garbage()
            kit.collect_garbage('vault')
            self.assert_nothing_left(kit)

    def remove_restored(self) -> None:
        with self.connect() as kit:
            kit.delete_volume('local:new')
            self.assert_nothing_left(kit)

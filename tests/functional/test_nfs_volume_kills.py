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

"""Processes killed between, and in, any two steps of work on a volume.

A step is whatever leaves the process: a name that changes, a document that
becomes durable, a tool of QEMU or a command to one. The work is done again
and again, and killed one step later each time, until it is not killed any
more; after each death another process looks, and does the work.
"""

from __future__ import annotations

from collections.abc import Callable
import os
import pathlib
import random
import select
import shutil
import signal
from typing import Any, ClassVar
from unittest import mock

from backupkit.copy import qemu
from backupkit import errors
from backupkit_plugins.volumes.nfs import driver as nfs
from backupkit_plugins.volumes.nfs import qmp
from tests.functional import forks
from tests.functional import guests
from tests.functional import nfs_volumes

_SIZE = 512 * 1024
_NAMES = ('s0', 's1', 's2')

Work = Callable[[nfs.NfsVolumeDriver], object]


class Killer:
    """Kills its process at its n-th step.

    :param note: a file that is to name the tool that runs on then
    """

    def __init__(self, number: int, note: pathlib.Path) -> None:
        self._left = number
        self._note = note

    def step(self) -> None:
        """Count one, and die if it is the last."""
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that is a step, with death before or behind it."""

        def stepping(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = call(*args, **kwargs)
            self.step()
            return result

        return stepping

    def within(self, start: Callable[..., Any]) -> Callable[..., Any]:
        """Return a start of a tool, with death while that runs."""

        def starting(*args: Any, **kwargs: Any) -> Any:
            process = start(*args, **kwargs)
            self._note.write_text(str(process.pid))
            self.step()
            return process

        return starting

    def run(self, work: Callable[[], object]) -> None:
        """Do something, as far as it comes."""
        with (
            mock.patch.object(os, 'rename', self.around(os.rename)),
            mock.patch.object(os, 'link', self.around(os.link)),
            mock.patch.object(os, 'unlink', self.around(os.unlink)),
            mock.patch.object(qemu, 'run', self.around(qemu.run)),
            mock.patch.object(qemu, 'start', self.within(qemu.start)),
            mock.patch.object(
                qmp.Monitor, 'run', self.around(qmp.Monitor.run)
            ),
        ):
            work()


class KillCase(nfs_volumes.Stand):
    """A volume with snapshots, and what each of them holds."""

    qcow2: ClassVar[bool] = False
    #: Of so many steps one is the last.
    stride: ClassVar[int] = 5

    def setUp(self) -> None:
        super().setUp()
        source = random.Random(5)
        driver = self.driver(nfs_qcow2_volumes=self.qcow2)
        driver.create('vol', _SIZE)
        data = bytearray(_SIZE)
        self.held: dict[str, bytes] = {}
        for name in (*_NAMES, ''):
            piece = source.randbytes(70_000)
            offset = source.randrange(_SIZE - len(piece))
            nfs_volumes.write(driver, 'vol', offset, piece)
            data[offset : offset + len(piece)] = piece
            self.held[name] = bytes(data)
            if name:
                driver.snapshot('vol', name)
        self.pristine = self.directory

    def each_death(
        self, work: Work, look: Callable[[nfs.NfsVolumeDriver], object]
    ) -> None:
        """Kill some work at each of its steps, and have it done then.

        :param look: asserts what must be true once it is done
        """
        number = 1 - self.stride
        killed = True
        while killed:
            number += self.stride
            with self.subTest(step=number):
                self.use(self.root / f'share{number}')
                shutil.copytree(
                    self.pristine, self.directory, dirs_exist_ok=True
                )
                killed = self.die(number, lambda: work(self.new()))
                self.assert_held(self.new())
                work(self.new())
                look(self.new())
                self.assert_held(self.new())
                self.assert_clean()
                shutil.rmtree(self.directory)
        # Fewer would mean that the steps are not seen.
        self.assertGreater(number, 10)

    def new(self) -> nfs.NfsVolumeDriver:
        return self.driver(nfs_qcow2_volumes=self.qcow2)

    def die(self, number: int, work: Callable[[], object]) -> bool:
        """Do something in a process that dies at a step; tell if it did."""
        note = self.root / f'tool{number}'
        killer = Killer(number, note)
        child = forks.Child(lambda ready: killer.run(work))
        child.ended_within(120)
        code = child.end()
        self.assertIn(code, (0, -signal.SIGKILL))
        if note.exists():
            wait_for_end(int(note.read_text()))
        return code != 0

    def assert_held(self, driver: nfs.NfsVolumeDriver) -> None:
        """Assert that the volume and each snapshot are what they were."""
        there = [taken.name for taken in driver.snapshots('vol')]
        for name in ('', *there):
            found = nfs_volumes.contents(driver, 'vol', name)
            wanted = self.held.get(name, self.held[''])
            self.assertEqual(wanted, found, name or 'the volume')

    def names(self, driver: nfs.NfsVolumeDriver) -> set[str]:
        return {taken.name for taken in driver.snapshots('vol')}


class KillTests(KillCase):
    """Each kind of work, in each kind of volume."""

    def test_when_snapshot_is_taken_then_all_or_nothing(self) -> None:
        def look(driver: nfs.NfsVolumeDriver) -> None:
            self.assertEqual({*_NAMES, 'new'}, self.names(driver))

        self.each_death(lambda driver: driver.snapshot('vol', 'new'), look)

    def test_when_newest_is_deleted_then_nothing_is_lost(self) -> None:
        self.deleting('s2')

    def test_when_middle_is_deleted_then_nothing_is_lost(self) -> None:
        self.deleting('s1')

    def test_when_oldest_is_deleted_then_nothing_is_lost(self) -> None:
        self.deleting('s0')

    def deleting(self, name: str) -> None:
        taken = nfs_volumes.snapshot('vol', name)

        def look(driver: nfs.NfsVolumeDriver) -> None:
            self.assertEqual(set(_NAMES) - {name}, self.names(driver))
            self.assertEqual(3, len(driver.chain('vol')))

        self.each_death(lambda driver: driver.delete_snapshot(taken), look)

    def test_when_volume_is_created_then_all_or_nothing(self) -> None:
        def work(driver: nfs.NfsVolumeDriver) -> None:
            if 'other' not in [v.volume_id for v in driver.list()]:
                driver.create('other', _SIZE)

        def look(driver: nfs.NfsVolumeDriver) -> None:
            found = nfs_volumes.contents(driver, 'other')
            self.assertEqual(bytes(_SIZE), found)

        self.each_death(work, look)

    def test_when_snapshot_becomes_volume_then_all_or_nothing(self) -> None:
        taken = nfs_volumes.snapshot('vol', 's1')

        def work(driver: nfs.NfsVolumeDriver) -> None:
            if 'other' not in [v.volume_id for v in driver.list()]:
                driver.create_from_snapshot('other', taken)

        def look(driver: nfs.NfsVolumeDriver) -> None:
            found = nfs_volumes.contents(driver, 'other')
            self.assertEqual(self.held['s1'], found)

        self.each_death(work, look)

    def test_when_volume_is_deleted_then_it_goes_wholly(self) -> None:
        driver = self.new()
        driver.clone('other', 'vol')
        driver.snapshot('other', 'one')

        def look(driver: nfs.NfsVolumeDriver) -> None:
            with self.assertRaises(errors.VolumeNotFound):
                driver.show('other')
            for name in self.files():
                self.assertTrue(name.startswith('volume-vol'), name)

        self.each_death(lambda driver: driver.delete('other'), look)


class RawKillTest(KillTests):
    pass


class OnlineKillTest(nfs_volumes.Stand):
    """The same while a guest writes, which does not notice."""

    stride: ClassVar[int] = 9

    def test_when_snapshots_come_and_go_then_nothing_is_lost(self) -> None:
        number, ended = 1 - self.stride, False
        while not ended:
            number += self.stride
            with self.subTest(step=number):
                ended = self.one_death(number)
        self.assertGreater(number, 20)

    def one_death(self, number: int) -> bool:
        """Kill work at a step, do it again; return whether it had ended."""
        self.use(self.root / f'share{number}')
        self.driver().create('vol', 16 * nfs_volumes.MIB)
        self.driver().snapshot('vol', 'old')
        chain = self.driver().chain('vol')
        guest = guests.Guest(self, self.directory, chain)

        def work() -> None:
            driver = self.driver(qmp_sockets=guest.monitor)
            driver.snapshot('vol', 'new')
            driver.delete_snapshot(nfs_volumes.snapshot('vol', 'old'))
            driver.delete_snapshot(nfs_volumes.snapshot('vol', 'new'))

        note = self.root / f'tool{number}'
        child = forks.Child(lambda ready: Killer(number, note).run(work))
        writer = guests.Writer(guest, 50)
        writer.start()
        child.ended_within(120)
        code = child.end()
        if note.exists():
            wait_for_end(int(note.read_text()))
        writer.wait_for(20)
        work()
        writer.wait_for(20)
        self.assertEqual(1, len(self.driver().chain('vol')))
        written = writer.stop()
        guest.quit()
        data = nfs_volumes.contents(self.driver(), 'vol')
        self.assertEqual(written, guests.writes_in(data, 50))
        self.assert_clean()
        shutil.rmtree(self.directory)
        return code == 0


def wait_for_end(pid: int) -> None:
    """Wait until a process is gone that is not ours any more."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([fd], [], [], 120)[0]:
            raise AssertionError(f'process {pid} does not end')
    finally:
        os.close(fd)


del KillTests

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


"""The recorder itself: it loses what may be lost, and nothing else."""

from __future__ import annotations

import contextlib
import os
import random
import unittest

from backupkit_plugins.targets.posix import fsops
from tests.unit.crash import disk
from tests.unit.crash import powercut


class PowerCutTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        holder = powercut.directory()
        self.addCleanup(holder.cleanup)
        self.scratch = os.path.join(holder.name, 'scratch')
        self.base = os.path.join(holder.name, 'base')
        os.mkdir(self.base)
        self.recorder = powercut.PowerCut(self.base)
        self.root = os.open(self.base, os.O_RDONLY)
        self.addCleanup(os.close, self.root)

    def _left_at_end(self) -> list[dict[str, bytes | None]]:
        self.recorder.acknowledge('end')
        states = self.recorder.states()
        return [dict(s.tree) for s in states if 'end' in s.acknowledged]

    def _write(self, name: str, *data: bytes) -> int:
        fd = fsops.create(self.root, name, 0o600)
        self.addCleanup(os.close, fd)
        offset = 0
        for part in data:
            offset += fsops.pwritev(fd, [part], offset)
        return fd

    def test_when_name_is_not_synced_then_it_may_be_lost(self) -> None:
        with self.recorder.recording():
            fsops.fsync(self._write('x', b'data'))
        self.assertCountEqual([{}, {'x': b'data'}], self._left_at_end())

    def test_when_all_is_synced_then_it_stays(self) -> None:
        with self.recorder.recording():
            fsops.fsync(self._write('x', b'data'))
            fsops.fsync(self.root)
            self.recorder.acknowledge('x')
        states = [*self.recorder.states()]
        promised = [s.tree for s in states if s.acknowledged]
        self.assertEqual([{'x': b'data'}], promised)

    def test_when_data_is_not_synced_then_it_may_be_torn(self) -> None:
        data = os.urandom(1024)
        with self.recorder.recording():
            self._write('x', data)
            fsops.fsync(self.root)
        left = [tree['x'] for tree in self._left_at_end()]
        half = data[:512]
        for torn in (
            b'',
            bytes(1024),
            half,
            half + bytes(512),
            bytes(512) + data[512:],
            data,
        ):
            self.assertIn(torn, left)

    def test_when_two_writes_are_not_synced_then_either_may_be_lost(
        self,
    ) -> None:
        with self.recorder.recording():
            self._write('x', b'one', b'two')
            fsops.fsync(self.root)
        left = [tree['x'] for tree in self._left_at_end()]
        for expected in (b'', b'one', b'\0\0\0two', b'onetwo'):
            self.assertIn(expected, left)

    def test_when_directory_is_not_synced_then_all_in_it_may_go(
        self,
    ) -> None:
        with self.recorder.recording():
            fsops.mkdir(self.root, 'd', 0o700)
            below = fsops.open_directory(self.root, 'd')
            self.addCleanup(os.close, below)
            fd = fsops.create(below, 'x', 0o600)
            os.close(fd)
            fsops.fsync(below)
        self.assertCountEqual(
            [{}, {'d': None, 'd/x': b''}], self._left_at_end()
        )

    def test_when_removal_is_not_synced_then_the_name_may_return(
        self,
    ) -> None:
        with open(os.path.join(self.base, 'x'), 'wb') as file:
            file.write(b'old')
        with self.recorder.recording():
            fsops.unlink(self.root, 'x')
        self.assertCountEqual([{}, {'x': b'old'}], self._left_at_end())

    def test_when_order_is_not_forced_then_later_may_stay_alone(
        self,
    ) -> None:
        with self.recorder.recording():
            fsops.fsync(self._write('1', b'first'))
            fsops.fsync(self._write('2', b'second'))
        self.assertIn({'2': b'second'}, self._left_at_end())

    def test_when_inode_number_returns_then_it_is_another_file(self) -> None:
        with self.recorder.recording():
            for data in (b'first', b'second'):
                fd = fsops.create(self.root, 'x', 0o600)
                fsops.pwritev(fd, [data], 0)
                fsops.fsync(fd)
                os.close(fd)
                fsops.unlink(self.root, 'x')
            fsops.fsync(self._write('y', b'third'))
            fsops.fsync(self.root)
        self.assertEqual([{'y': b'third'}], self._left_at_end())

    def test_when_drawn_twice_with_one_seed_then_states_are_the_same(
        self,
    ) -> None:
        with self.recorder.recording():
            for number in range(8):
                self._write(f'f{number}', os.urandom(9000))
        first = [repr(state) for state in self.recorder.states(50, seed=3)]
        again = [repr(state) for state in self.recorder.states(50, seed=3)]
        self.assertEqual(50, len(first))
        self.assertEqual(first, again)
        self.assertEqual(50, len(set(first)))

    def test_when_check_fails_then_the_state_is_told(self) -> None:
        def check(path: str, acknowledged: object) -> None:
            self.assertFalse(os.path.exists(os.path.join(path, 'x')))

        with self.recorder.recording():
            self._write('x', b'data')
        with self.assertRaisesRegex(AssertionError, 'after call .*x: 4 bytes'):
            self.recorder.replay(check, self.scratch)

    def test_when_state_is_laid_out_then_it_is_as_described(self) -> None:
        tree: disk.Tree = {'d': None, 'd/e': None, 'd/e/x': b'data', 'y': b''}
        state = powercut.State(0, '', tree, ())
        path = os.path.join(self.scratch, 's')
        state.materialise(path)
        found: dict[str, bytes | None] = {}
        for directory, directories, files in os.walk(path):
            for name in directories:
                found[os.path.relpath(f'{directory}/{name}', path)] = None
            for name in files:
                with open(f'{directory}/{name}', 'rb') as file:
                    data = file.read()
                found[os.path.relpath(f'{directory}/{name}', path)] = data
        self.assertEqual(tree, found)


class FatesTest(unittest.TestCase):
    def test_when_write_is_long_then_all_tears_are_there(self) -> None:
        found = disk.fates(100_000)
        self.assertEqual(disk.Fate(0, 0, grows=False), found[0])
        self.assertEqual(disk.Fate(0, 100_000, grows=True), found[-1])
        for tear in (512, 4096):
            self.assertIn(disk.Fate(0, tear, grows=False), found)
            self.assertIn(disk.Fate(0, tear, grows=True), found)
            self.assertIn(disk.Fate(tear, 100_000, grows=True), found)

    def test_when_few_things_are_open_then_all_states_come(self) -> None:
        root = disk.Directory()
        model = disk.Disk(root)
        for number in range(3):
            model.apply(disk.Name(root, f'f{number}', disk.Node()))
        trees = model.moment().trees(random.Random(0))
        with contextlib.closing(trees):
            found = {tuple(sorted(tree)) for tree in trees}
        self.assertEqual(8, len(found))

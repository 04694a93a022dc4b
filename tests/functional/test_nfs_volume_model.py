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

"""Sequences of work on volumes, compared with a model in memory.

Each sequence writes, takes and deletes snapshots, clones, restores and
deletes, in any order, and after each step every volume and every snapshot
is read by QEMU's own tools, and every image checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar
import uuid

import hypothesis
from hypothesis import strategies

from backupkit_plugins.volumes.nfs import driver as nfs
from tests.functional import nfs_volumes

_SIZE = 320 * 1024
_PIECE = 40_000

#: What to do, to which of the volumes and snapshots there are, and how.
_NUMBERS = strategies.integers(0, 255)
_STEP = strategies.tuples(
    strategies.sampled_from(
        [
            *('write', 'write', 'snapshot', 'snapshot', 'drop', 'drop'),
            *('clone', 'promote', 'restore', 'create', 'delete'),
        ]
    ),
    _NUMBERS,
    _NUMBERS,
)
_STEPS = strategies.lists(_STEP, min_size=4, max_size=14)


class Model:
    """Volumes as they must be: a dictionary beside the driver.

    :ivar volumes: what each holds, and what its snapshots do
    """

    def __init__(self, driver: nfs.NfsVolumeDriver) -> None:
        self.driver = driver
        self.volumes: dict[str, dict[str, bytes]] = {}
        self._made = 0

    def do(self, what: str, first: int, second: int) -> None:
        """Do one step, where there is something to do it to."""
        if what == 'create' or not self.volumes:
            volume_id = self._name('vol')
            self.driver.create(volume_id, _SIZE)
            self.volumes[volume_id] = {'': bytes(_SIZE)}
            return
        volume_id = list(self.volumes)[first % len(self.volumes)]
        step: Callable[[str, int], None] = getattr(self, f'_{what}')
        step(volume_id, second)

    def _name(self, kind: str) -> str:
        self._made += 1
        return f'{kind}{self._made}'

    def _snapshot_of(self, volume_id: str, number: int) -> str:
        names = [name for name in self.volumes[volume_id] if name]
        return names[number % len(names)] if names else ''

    def _put(self, volume_id: str, offset: int, data: bytes) -> None:
        nfs_volumes.write(self.driver, volume_id, offset, data)
        held = bytearray(self.volumes[volume_id][''])
        held[offset : offset + len(data)] = data
        self.volumes[volume_id][''] = bytes(held)

    def _write(self, volume_id: str, number: int) -> None:
        offset = number * (_SIZE - _PIECE) // 255
        self._put(volume_id, offset, bytes([number]) * _PIECE)

    def _restore(self, volume_id: str, number: int) -> None:
        self._put(volume_id, 0, bytes([number]) * _SIZE)

    def _snapshot(self, volume_id: str, number: int) -> None:
        name = f'backupkit-{uuid.UUID(int=self._made << 8 | number)}'
        self._made += 1
        self.driver.snapshot(volume_id, name)
        held = self.volumes[volume_id]
        held[name] = held['']

    def _drop(self, volume_id: str, number: int) -> None:
        name = self._snapshot_of(volume_id, number)
        if name:
            taken = nfs_volumes.snapshot(volume_id, name)
            self.driver.delete_snapshot(taken)
            del self.volumes[volume_id][name]

    def _clone(self, volume_id: str, number: int) -> None:
        clone = self._name('clone')
        self.driver.clone(clone, volume_id)
        self.volumes[clone] = {'': self.volumes[volume_id]['']}

    def _promote(self, volume_id: str, number: int) -> None:
        name = self._snapshot_of(volume_id, number)
        if name:
            made = self._name('from')
            taken = nfs_volumes.snapshot(volume_id, name)
            self.driver.create_from_snapshot(made, taken)
            self.volumes[made] = {'': self.volumes[volume_id][name]}

    def _delete(self, volume_id: str, number: int) -> None:
        self.driver.delete(volume_id)
        del self.volumes[volume_id]


class RawModelTest(nfs_volumes.Stand):
    qcow2: ClassVar[bool] = False
    examples: ClassVar[int] = 5

    def test_when_steps_come_in_any_order_then_as_the_model(self) -> None:
        run = hypothesis.settings(
            max_examples=self.examples,
            deadline=None,
            print_blob=True,
            # One that fails is long enough to be read as it is.
            phases=[
                hypothesis.Phase.explicit,
                hypothesis.Phase.reuse,
                hypothesis.Phase.generate,
            ],
            suppress_health_check=list(hypothesis.HealthCheck),
        )(hypothesis.given(_STEPS)(self.run_steps))
        run()

    def run_steps(self, steps: list[tuple[str, int, int]]) -> None:
        """Do some steps on an empty share, and look after each."""
        self.use(self.root / f'share-{uuid.uuid4()}')
        driver = self.driver(nfs_qcow2_volumes=self.qcow2)
        model = Model(driver)
        for what, first, second in steps:
            model.do(what, first, second)
            self.compare(model)
        self.assert_clean()

    def compare(self, model: Model) -> None:
        driver = model.driver
        listed = {found.volume_id for found in driver.list()}
        self.assertEqual(set(model.volumes), listed)
        for volume_id, held in model.volumes.items():
            names = [taken.name for taken in driver.snapshots(volume_id)]
            self.assertEqual([name for name in held if name], names)
            for name, data in held.items():
                found = nfs_volumes.contents(driver, volume_id, name)
                self.assertEqual(data, found, f'{volume_id} {name}')


class Qcow2ModelTest(RawModelTest):
    qcow2 = True

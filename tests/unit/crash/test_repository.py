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


"""No acknowledged backup is lost through a power cut at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
import random
import types

from backupkit.drivers import store as store_
from backupkit.drivers.wrappers import base as wrapper
from backupkit.testing import cycle as cycle_
from backupkit.testing.memory import catalog
from backupkit.testing import plain
from backupkit_plugins.targets import posix
from tests.unit.crash import case
from tests.unit.crash import mutants

_CHUNK_BYTES = 4096
_PACK_BYTES = 1 << 16
_SIZE = 90_000

#: Whether every state is also verified and written to, not only restored.
_THOROUGH = os.environ.get('HYPOTHESIS_PROFILE') == 'thorough'
_WRITING_TURN = 10

_KEPT, _EITHER, _GONE = 'kept', 'either', 'gone'


class _LatePacks(wrapper.StoreWrapper):
    """Puts what a manifest needs only once the manifest is there."""

    def __init__(self, inner: store_.Store, late: dict[str, bytes]) -> None:
        super().__init__(inner)
        self._late = late

    def put(self, name: str, parts: Sequence[store_.Buffer]) -> None:
        if '/packs/' in name:
            self._late[name] = b''.join(parts)
            return
        super().put(name, parts)
        if name.endswith('/manifest'):
            while self._late:
                pack, data = self._late.popitem()
                super().put(pack, [data])


class _RepositoryTest(case.PowerCutCase):
    """A workload, and what must hold after it.

    Tokens are pairs of what is promised of a backup, and its id.
    """

    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(7)
        self.catalog = catalog.MemoryCoordinator()
        self.history: dict[str, bytes] = {}
        self._checks = 0

    def _target(self, root: str) -> posix.PosixTarget:
        options = {
            option.dest: option.default
            for option in posix.PosixTarget.get_options()
        }
        options['backup_posix_path'] = root
        options['chunk_size_bytes'] = _CHUNK_BYTES
        options['pack_size_bytes'] = _PACK_BYTES
        section = types.SimpleNamespace(**options)
        target = posix.PosixTarget('repo', section)
        # Threads cost more here than they bring.
        target.threads = 1
        return target

    def _volume(self, name: str) -> plain.PlainVolume:
        data = bytearray(self.random.randbytes(_SIZE))
        data[20_000:50_000] = bytes(30_000)
        return plain.PlainVolume(bytes(data), name)

    def _backup(self, cycle: cycle_.Cycle, volume: plain.PlainVolume) -> str:
        offset = self.random.randrange(_SIZE - 9000)
        volume.data[offset : offset + 9000] = self.random.randbytes(9000)
        backup_id = cycle.backup(volume).backup_id
        self.recorder.acknowledge((_KEPT, backup_id))
        self.history.update(volume.history)
        return backup_id

    def _workload(self, target: posix.PosixTarget) -> None:
        cycle = cycle_.Cycle(target, self.catalog)
        one, two = self._volume('one'), self._volume('two')
        first = self._backup(cycle, one)
        self._backup(cycle, one)
        self._backup(cycle, two)
        self.recorder.acknowledge((_EITHER, first))
        cycle.delete(first)
        self.recorder.acknowledge((_GONE, first))
        cycle.collect()
        self._backup(cycle, one)

    def _check(self, path: str, acknowledged: Sequence[object]) -> None:
        promised: dict[str, str] = {}
        for token in acknowledged:
            assert isinstance(token, tuple)
            promised[token[1]] = token[0]
        # The catalog is a database of its own, and is not modelled here: a
        # new one of the same identity knows nothing but what it finds.
        cycle = cycle_.Cycle(
            self._target(os.path.join(path, 'repository')),
            catalog.MemoryCoordinator(self.catalog.catalog_id),
        )
        self._check_backups(cycle, promised)
        self._checks += 1
        if _THOROUGH or self._checks % _WRITING_TURN == 0:
            self._check_writing(cycle, promised)

    def _check_writing(
        self, cycle: cycle_.Cycle, promised: dict[str, str]
    ) -> None:
        """Go on writing there, collect, and see that all is still good."""
        for backup_id, summary in cycle.listed().items():
            number = cycle.coordinator.begin(backup_id)
            cycle.coordinator.record(number, summary)
        volume = plain.PlainVolume(self.random.randbytes(_SIZE), 'three')
        new = cycle.backup(volume).backup_id
        cycle.collect()
        self._check_backups(cycle, promised, {new: bytes(volume.data)})

    def _check_backups(
        self,
        cycle: cycle_.Cycle,
        promised: dict[str, str],
        new: dict[str, bytes] | None = None,
    ) -> None:
        history = {**self.history, **(new or {})}
        listed = cycle.listed()
        for backup_id in listed:
            expected = history[backup_id]
            writer = plain.PlainWriter(len(expected), expected)
            cycle.restore(backup_id, writer)
            self.assertEqual(expected, writer.data)
            if _THOROUGH:
                self.assertEqual((), cycle.verify(backup_id).findings)
        for backup_id, promise in promised.items():
            if promise == _KEPT:
                self.assertIn(backup_id, listed)
            elif promise == _GONE:
                self.assertNotIn(backup_id, listed)


class RepositoryPowerCutTest(_RepositoryTest):
    def test_when_power_is_cut_then_no_acknowledged_backup_is_lost(
        self,
    ) -> None:
        with self.recorder.recording():
            self._workload(self._target(self.root))
        count = self.recorder.replay(self._check, self.scratch, 1000, seed=5)
        self.assertEqual(1000, count)


class MutantTest(_RepositoryTest):
    """Each mutant must be found, or the test above is blind."""

    def _assert_found(
        self,
        mutant: mutants.Mutant,
        wrap: Callable[[store_.Store], store_.Store] | None = None,
    ) -> None:
        target = self._target(self.root)
        if wrap is not None:
            target.store_wrapper = lambda store, *rest: wrap(store)
        with self.recorder.recording(), mutants.applied(mutant):
            self._workload(target)
        with self.assertRaisesRegex(AssertionError, 'power cut after call'):
            self.recorder.replay(self._check, self.scratch, 1000, seed=5)

    def test_when_nothing_is_synced_then_it_is_found(self) -> None:
        self._assert_found(mutants.no_sync)

    def test_when_names_are_not_synced_then_it_is_found(self) -> None:
        self._assert_found(mutants.sync_files_only)

    def test_when_named_before_data_is_synced_then_it_is_found(self) -> None:
        self._assert_found(mutants.link_before_sync)

    def test_when_manifest_is_put_before_packs_then_it_is_found(self) -> None:
        late: dict[str, bytes] = {}
        self._assert_found(dict, lambda store: _LatePacks(store, late))

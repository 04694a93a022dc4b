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


"""The POSIX store keeps its promises through a power cut at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent import futures
import contextlib
import os

from backupkit import errors
from backupkit_plugins.targets.posix import fsops
from backupkit_plugins.targets.posix import store as store_
from tests.unit.crash import case
from tests.unit.crash import mutants

_DATA = {
    'config': b'settings' * 8,
    'backups/aa/bb/one/packs/0000/p1': os.urandom(9000),
    'backups/aa/bb/one/packs/0000/p2': os.urandom(5000),
    'backups/aa/bb/one/manifest': b'',
    'backups/aa/cc/two/packs/0000/p1': os.urandom(600),
    'backups/aa/cc/two/packs/0001/p2': os.urandom(30_000),
    'backups/aa/cc/two/index': os.urandom(1500),
    'backups/aa/cc/two/manifest': os.urandom(700),
}
_PACK = 'backups/aa/bb/one/packs/0000/p1'
_MANIFEST = 'backups/aa/bb/one/manifest'
_KEPT = 'kept'
_EITHER = 'either'


class _StoreTest(case.PowerCutCase):
    """Workloads, and what must hold after them.

    Tokens are a pair of a promise and a name: the object is kept, or is
    gone (None), or may be either because it is just coming or going.
    """

    def _put(self, store: store_.PosixStore, name: str) -> None:
        data = _DATA[name]
        self.recorder.acknowledge((_EITHER, name))
        store.put(name, [data[:100], data[100:4200], data[4200:]])
        self.recorder.acknowledge((_KEPT, name))

    def _delete(self, store: store_.PosixStore, name: str) -> None:
        self.recorder.acknowledge((_EITHER, name))
        store.delete(name)
        self.recorder.acknowledge((None, name))

    def _workload(self) -> None:
        with store_.PosixStore(self.root) as store:
            for name in _DATA:
                self._put(store, name)
            with contextlib.suppress(errors.ObjectExists):
                store.put('config', [b'another'])
            self._delete(store, 'backups/aa/bb/one/manifest')
            self._delete(store, 'backups/aa/bb/one/packs/0000/p1')
            self._delete(store, 'backups/aa/bb/one/packs/0000/p2')
            self._put(store, 'backups/aa/bb/one/packs/0000/p2')

    def _check(self, path: str, acknowledged: Sequence[object]) -> None:
        promised: dict[str, str | None] = {}
        for token in acknowledged:
            assert isinstance(token, tuple)
            promised[token[1]] = token[0]
        with store_.PosixStore(os.path.join(path, 'repository')) as store:
            self._check_objects(store, promised)
            store.sweep()
            self._check_objects(store, promised)
            for name, data in _DATA.items():
                with contextlib.suppress(errors.ObjectExists):
                    store.put(name, [data])
                self.assertEqual(data, store.get(name))
        self._check_nothing_hidden(path)

    def _check_objects(
        self, store: store_.PosixStore, promised: dict[str, str | None]
    ) -> None:
        listed = {found.name: found.size_bytes for found in store.list()}
        for name in listed:
            self.assertEqual(_DATA[name], store.get(name), name)
        for name, promise in promised.items():
            if promise == _KEPT:
                self.assertIn(name, listed)
            elif promise is None:
                self.assertNotIn(name, listed)

    def _check_nothing_hidden(self, path: str) -> None:
        for directory, _, files in os.walk(path):
            hidden = [name for name in files if name.startswith('.')]
            self.assertEqual([], hidden, directory)

    def _make_directories(self) -> None:
        """Make directories as another does who has not yet synced them."""
        os.mkdir(self.root)
        with contextlib.ExitStack() as stack, self.recorder.recording():
            above = fsops.open_root(self.root)
            stack.callback(os.close, above)
            for part in _PACK.split('/')[:-1]:
                fsops.mkdir(above, part, 0o770)
                above = fsops.open_directory(above, part)
                stack.callback(os.close, above)

    def _put_below(self) -> None:
        with store_.PosixStore(self.root) as store:
            self._put(store, _PACK)

    def _name_object(self) -> None:
        """Name an object as another does who has not yet synced it."""
        with (
            self.recorder.recording(),
            store_.PosixStore(self.root) as store,
        ):
            self._put(store, _PACK)
            with mutants.applied(mutants.sync_files_only):
                store.put(_MANIFEST, [_DATA[_MANIFEST]])

    def _hear_of_object(self) -> None:
        with store_.PosixStore(self.root) as store:
            with self.assertRaises(errors.ObjectExists):
                store.put(_MANIFEST, [_DATA[_MANIFEST]])
            self.recorder.acknowledge((_KEPT, _MANIFEST))

    def _remove_object(self) -> None:
        """Remove an object as another does who has not yet synced that."""
        with (
            self.recorder.recording(),
            store_.PosixStore(self.root) as store,
        ):
            self._put(store, _PACK)
            self._put(store, _MANIFEST)
            self.recorder.acknowledge((_EITHER, _MANIFEST))
            with mutants.applied(mutants.sync_files_only):
                store.delete(_MANIFEST)

    def _delete_again(self) -> None:
        with store_.PosixStore(self.root) as store:
            store.delete(_MANIFEST)
            self.recorder.acknowledge((None, _MANIFEST))


class PosixStorePowerCutTest(_StoreTest):
    def test_when_power_is_cut_then_promises_hold(self) -> None:
        with self.recorder.recording():
            self._workload()
        count = self.recorder.replay(self._check, self.scratch, 1000, seed=1)
        self.assertEqual(1000, count)

    def test_when_two_threads_put_then_promises_hold(self) -> None:
        names = [*_DATA]
        with (
            self.recorder.recording(),
            store_.PosixStore(self.root) as store,
            futures.ThreadPoolExecutor(2) as pool,
        ):
            for result in [pool.submit(self._put, store, n) for n in names]:
                result.result()
        count = self.recorder.replay(self._check, self.scratch, 150, seed=2)
        self.assertEqual(150, count)

    def _assert_holds(
        self, others: Callable[[], None], workload: Callable[[], None]
    ) -> None:
        others()
        with self.recorder.recording():
            workload()
        self.assertTrue(self.recorder.replay(self._check, self.scratch))

    def test_when_another_made_the_directories_then_puts_are_durable(
        self,
    ) -> None:
        self._assert_holds(self._make_directories, self._put_below)

    def test_when_another_named_the_object_then_exists_is_durable(
        self,
    ) -> None:
        self._assert_holds(self._name_object, self._hear_of_object)

    def test_when_another_removed_the_object_then_delete_is_durable(
        self,
    ) -> None:
        self._assert_holds(self._remove_object, self._delete_again)


class MutantTest(_StoreTest):
    """Each mutant of the store must be found, or the recorder is blind."""

    def _assert_found(
        self, mutant: mutants.Mutant, workload: Callable[[], None]
    ) -> None:
        with self.recorder.recording(), mutants.applied(mutant):
            workload()
        with self.assertRaisesRegex(AssertionError, 'power cut after call'):
            self.recorder.replay(self._check, self.scratch, seed=1)

    def test_when_nothing_is_synced_then_it_is_found(self) -> None:
        self._assert_found(mutants.no_sync, self._workload)

    def test_when_data_is_not_synced_then_it_is_found(self) -> None:
        self._assert_found(mutants.sync_directories_only, self._workload)

    def test_when_names_are_not_synced_then_it_is_found(self) -> None:
        self._assert_found(mutants.sync_files_only, self._workload)

    def test_when_names_of_directories_are_not_synced_then_it_is_found(
        self,
    ) -> None:
        self._assert_found(mutants.no_sync_after_mkdir, self._workload)

    def test_when_removal_is_not_synced_then_it_is_found(self) -> None:
        self._assert_found(mutants.no_sync_after_unlink, self._workload)

    def test_when_named_before_data_is_synced_then_it_is_found(self) -> None:
        self._assert_found(mutants.link_before_sync, self._workload)

    def test_when_others_directories_are_trusted_then_it_is_found(
        self,
    ) -> None:
        self._make_directories()
        self._assert_found(mutants.sync_own_changes_only, self._put_below)

    def test_when_others_objects_are_trusted_then_it_is_found(self) -> None:
        self._name_object()
        self._assert_found(mutants.sync_own_changes_only, self._hear_of_object)

    def test_when_others_deletes_are_trusted_then_it_is_found(self) -> None:
        self._remove_object()
        self._assert_found(mutants.sync_own_changes_only, self._delete_again)

    def test_when_a_mutant_does_nothing_then_nothing_is_found(self) -> None:
        with self.recorder.recording(), mutants.applied(dict):
            self._workload()
        self.assertTrue(self.recorder.replay(self._check, self.scratch, 100))

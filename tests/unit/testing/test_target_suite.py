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


"""The suite of a target finds targets that break their promises."""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import unittest

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import capability
from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.testing.memory import store
from backupkit.testing.memory import target as memory
from backupkit.testing import sections
from backupkit.testing.target import committing
from backupkit.testing.target import describing
from backupkit.testing.target import keeping
from backupkit.testing.target import stopping
from backupkit.testing.target import transferring
from tests.unit.testing import mutation

TRANSFERRING = dataclasses.replace(
    memory.MemoryTarget.capabilities, transfer=True
)


class Moving(memory.MemoryTarget):
    """A good override: it copies in one thread, with small blocks."""

    capabilities = TRANSFERRING

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        pipeline.copy(reader, writer, control, block_bytes=16384, threads=1)
        return True


class Unstated(Moving):
    capabilities = memory.MemoryTarget.capabilities


class Unmoving(memory.MemoryTarget):
    capabilities = TRANSFERRING


class Idle(Moving):
    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        return True


class Fickle(Moving):
    """It declines when it has begun."""

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        buffer = bytearray(min(reader.size_bytes, 16384))
        reader.read_into(0, [buffer])
        return False


class Finishing(Moving):
    """It ends what is the caller's to end."""

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        super().transfer(reader, writer, control)
        writer.finish()
        return True


class Eager(memory.MemoryTarget):
    """The constructor wants more than to store its arguments."""

    def __init__(self, name: str, section: object) -> None:
        super().__init__(name, section)
        self.opened_store = self.open()


class Making(memory.MemoryTarget):
    """A check leaves something behind."""

    def check(self) -> capability.TargetCapabilities:
        with self.open() as opened:
            if not list(opened.list()):
                opened.put('checked', [b''])
        return super().check()


class Boasting(memory.MemoryTarget):
    capabilities = capability.TargetCapabilities(repository=True)

    def check(self) -> capability.TargetCapabilities:
        return memory.MemoryTarget.capabilities


class Nameless(memory.MemoryTarget):
    def storage_identity(self) -> model.StorageIdentity:
        return model.StorageIdentity(f'process {id(self)}')


class Forgetful(memory.MemoryTarget):
    """One backup is not listed."""

    def list(self) -> Iterator[model.BackupSummary | target_.Finding]:
        yield from sorted(super().list(), key=str)[1:]


class Renaming(memory.MemoryTarget):
    def show(self, backup_id: str) -> model.BackupSummary:
        return dataclasses.replace(super().show(backup_id), name='')


class Hasty(memory.MemoryTarget):
    """A backup exists before it is committed."""

    def backup(
        self,
        request: model.BackupRequest,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> target_.Prepared:
        made = super().backup(request, open_reader, coordinator, control)
        self.commit(made)
        return made


class Full(memory.MemoryTarget):
    def backup(
        self,
        request: model.BackupRequest,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> target_.Prepared:
        request = dataclasses.replace(request, full=True)
        return super().backup(request, open_reader, coordinator, control)


class Deaf(memory.MemoryTarget):
    """Nobody can stop it."""

    def backup(
        self,
        request: model.BackupRequest,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> target_.Prepared:
        return super().backup(
            request, open_reader, coordinator, control_.Control()
        )


class Unkept(memory.MemoryTarget):
    def commit(self, prepared: target_.Prepared) -> None:
        return


class Single(memory.MemoryTarget):
    """To commit twice is an error."""

    def commit(self, prepared: target_.Prepared) -> None:
        try:
            self.show(prepared.summary.backup_id)
        except (errors.NotFound, errors.TargetError):
            super().commit(prepared)
        else:
            raise errors.ObjectExists('it is committed')


class Lenient(memory.MemoryTarget):
    """An abort leaves nothing that a late commit would meet."""

    def abort(
        self, backup_id: str, confirm: Callable[[], bool] | None = None
    ) -> bool:
        with self.open() as opened:
            for found in list(opened.list()):
                if backup_id in found.name:
                    opened.delete(found.name)
        return True


class Leaving(memory.MemoryTarget):
    """An abort does nothing at all."""

    def abort(
        self, backup_id: str, confirm: Callable[[], bool] | None = None
    ) -> bool:
        return True


class Rigid(memory.MemoryTarget):
    def revise(
        self, prepared: target_.Prepared, *, consistent: bool
    ) -> target_.Prepared:
        return prepared


class Strict(memory.MemoryTarget):
    def delete(self, backup_id: str) -> None:
        self.show(backup_id)
        super().delete(backup_id)


class Undeleted(memory.MemoryTarget):
    def delete(self, backup_id: str) -> None:
        return


class _LosingStore(store.MemoryStore):
    """Accepts packs of data, and throws the first of each backup away."""

    def put(self, name: str, parts: Sequence[store_.Buffer]) -> None:
        if not name.endswith('-00000000') or '/packs/' not in name:
            super().put(name, parts)


class Losing(memory.MemoryTarget):
    def open(self) -> store.MemoryStore:
        return _LosingStore(store.medium(self._medium_name))


#: Each mutant, and the part of the suite that is to find it.
MUTANTS: dict[type[memory.MemoryTarget], type] = {
    Unstated: transferring.TransferTests,
    Unmoving: transferring.TransferTests,
    Idle: transferring.TransferTests,
    Fickle: transferring.TransferTests,
    Finishing: transferring.TransferTests,
    Eager: describing.DescribeTests,
    Making: describing.DescribeTests,
    Boasting: describing.DescribeTests,
    Nameless: describing.DescribeTests,
    Forgetful: describing.DescribeTests,
    Renaming: describing.DescribeTests,
    Hasty: committing.CommitTests,
    Full: keeping.KeepTests,
    Deaf: stopping.StopTests,
    Unkept: keeping.KeepTests,
    Single: committing.CommitTests,
    Lenient: committing.CommitTests,
    Leaving: committing.CommitTests,
    Rigid: committing.CommitTests,
    Strict: keeping.KeepTests,
    Undeleted: keeping.KeepTests,
    Losing: keeping.KeepTests,
}


class TargetSuiteTest(unittest.TestCase):
    def failures(
        self, driver: type[memory.MemoryTarget], part: type
    ) -> set[str]:
        def make_target(case: unittest.TestCase) -> memory.MemoryTarget:
            medium = f'{self.id()} {driver.__name__} {case.id()}'
            self.addCleanup(store.discard, medium)
            loaded = sections.load_target(
                'memory',
                medium=medium,
                chunk_size_bytes=16384,
                pack_size_bytes=131072,
            )
            return driver('test', loaded.section)

        return mutation.failures(part, make_target=make_target)

    def test_suite_when_a_promise_is_broken_then_fails(self) -> None:
        for mutant, part in MUTANTS.items():
            with self.subTest(mutant=mutant.__name__):
                self.assertNotEqual(set(), self.failures(mutant, part))

    def test_suite_when_override_is_good_then_passes(self) -> None:
        for part in set(MUTANTS.values()):
            self.assertEqual(set(), self.failures(Moving, part))

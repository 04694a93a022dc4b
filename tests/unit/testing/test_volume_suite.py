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


"""The suite of a volume driver finds drivers that break their promises."""

from collections.abc import Iterator, Sequence
import dataclasses
import os
import unittest

from backupkit.drivers import capability
from backupkit.drivers import volume as base
from backupkit import errors
from backupkit import model
from backupkit.testing.memory import array
from backupkit.testing.memory import volume as memory
from backupkit.testing import sections
from backupkit.testing import volume
from tests.unit.testing import mutation

DATA, SAME, ZERO = model.ExtentKind

Extents = Iterator[model.Extent]


class Lavish(memory.MemoryVolumeDriver):
    """More is effective than the class states."""

    capabilities = capability.VolumeCapabilities(create=True)

    def check(self) -> capability.VolumeCapabilities:
        return memory.MemoryVolumeDriver.capabilities


class Eager(memory.MemoryVolumeDriver):
    """The constructor wants more than to store its arguments."""

    def __init__(self, name: str, section: object) -> None:
        super().__init__(name, section)
        self.array = self._array


class Nameless(memory.MemoryVolumeDriver):
    def storage_identity(self) -> model.StorageIdentity:
        return model.StorageIdentity(f'process {id(self)}')


class Foreign(memory.MemoryVolumeDriver):
    def show(self, volume_id: str) -> model.Volume:
        os.stat(f'/nowhere/{volume_id}' if '\0' in volume_id else '/')
        return super().show(volume_id)


class Probing(memory.MemoryVolumeDriver):
    """The format is guessed from the volume's bytes."""

    def show(self, volume_id: str) -> model.Volume:
        shown = super().show(volume_id)
        attachment = self.attach(volume_id, None)
        with open(attachment.path, 'rb') as file:
            magic = file.read(4)
        self.detach(attachment)
        if magic != b'QFI\xfb':
            return shown
        return dataclasses.replace(shown, format='qcow2')


class Blind(memory.MemoryVolumeDriver):
    def show(self, volume_id: str) -> model.Volume:
        return dataclasses.replace(super().show(volume_id), in_use=False)


class Forgetful(memory.MemoryVolumeDriver):
    def list(self) -> Iterator[model.Volume]:
        for number, found in enumerate(super().list()):
            if number:
                yield found


class Shared(memory.MemoryVolumeDriver):
    """To detach once detaches all."""

    def detach(self, attachment: model.Attachment) -> None:
        for key in list(self._array.opened):
            super().detach(
                dataclasses.replace(attachment, handle={'opened': key})
            )


class Strict(memory.MemoryVolumeDriver):
    def detach(self, attachment: model.Attachment) -> None:
        if attachment.handle['opened'] not in self._array.opened:
            raise errors.SourceError('it is not attached')
        super().detach(attachment)


class Own(memory.MemoryVolumeDriver):
    """An attachment can be detached only by the one who attached it."""

    def detach(self, attachment: model.Attachment) -> None:
        if getattr(self, 'own', None) == attachment:
            super().detach(attachment)

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        self.own = super().attach(volume_id, snapshot)
        return self.own

    def attach_volume(self, volume_id: str) -> model.Attachment:
        self.own = super().attach_volume(volume_id)
        return self.own


class Rounding(memory.MemoryVolumeDriver):
    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        return super().create(volume_id, -(-size_bytes // 512) * 512)


class Making(memory.MemoryVolumeDriver):
    """What is attached for writing is made where it is not there."""

    def attach_volume(self, volume_id: str) -> model.Attachment:
        if volume_id not in self._array.volumes:
            self.create(volume_id, 4096)
        return super().attach_volume(volume_id)


class Sharing(memory.MemoryVolumeDriver):
    """A volume may have two writers."""

    def _refuse_writers(self, volume_id: str, what: str) -> None:
        return


class Ending(memory.MemoryVolumeDriver):
    """The last extent is left out."""

    def extents(self, attachment: model.Attachment) -> Extents:
        yield from list(super().extents(attachment))[:-1]


class Zeroing(memory.MemoryVolumeDriver):
    """Holes are told as larger than they are."""

    def extents(self, attachment: model.Attachment) -> Extents:
        for extent in super().extents(attachment):
            if extent.kind is DATA and extent.offset and extent.length < 8192:
                extent = dataclasses.replace(extent, kind=ZERO)
            yield extent


class Plain(memory.MemoryVolumeDriver):
    """The map that is stated is none."""

    def extents(self, attachment: model.Attachment) -> Extents:
        yield model.Extent(0, attachment.size_bytes, DATA)


class Constant(memory.MemoryVolumeDriver):
    def fingerprint(self, attachment: model.Attachment) -> str:
        return 'unchanged'


class Restless(memory.MemoryVolumeDriver):
    calls = 0

    def fingerprint(self, attachment: model.Attachment) -> str:
        Restless.calls += 1
        return f'{self.calls}'


class Lazy(memory.MemoryVolumeDriver):
    """Everything is said to be as it was."""

    def changed_extents(
        self, attachment: model.Attachment, since: model.Checkpoint
    ) -> Extents:
        for extent in super().changed_extents(attachment, since):
            yield dataclasses.replace(extent, kind=SAME)


class Late(memory.MemoryVolumeDriver):
    """What changed since the last backup is told, whichever was asked for."""

    def changed_extents(
        self, attachment: model.Attachment, since: model.Checkpoint
    ) -> Extents:
        *_, last_name = self._array.volumes[since.volume_id].checkpoints
        last = dataclasses.replace(since, backup_id=last_name[-36:])
        return super().changed_extents(attachment, last)


class Trusting(memory.MemoryVolumeDriver):
    """A checkpoint of another volume of the same name is good enough."""

    def changed_extents(
        self, attachment: model.Attachment, since: model.Checkpoint
    ) -> Extents:
        found = self._array.volumes.get(since.volume_id)
        if found:
            since = dataclasses.replace(since, generation=found.generation)
        return super().changed_extents(attachment, since)


class Clinging(memory.MemoryVolumeDriver):
    """A checkpoint that is dropped is there all the same."""

    def drop_checkpoint(self, volume_id: str, name: str) -> None:
        return


class Fragile(memory.MemoryVolumeDriver):
    """A checkpoint that is kept again is of now."""

    def keep_checkpoint(self, volume_id: str, name: str) -> None:
        super().drop_checkpoint(volume_id, name)
        super().keep_checkpoint(volume_id, name)


class Following(memory.MemoryVolumeDriver):
    """A snapshot shows the volume as it is now."""

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        super().detach(super().attach(volume_id, snapshot))
        return super().attach(volume_id, None)


class Repeating(memory.MemoryVolumeDriver):
    """A snapshot that is there is made anew."""

    def snapshot(self, volume_id: str, name: str) -> model.Snapshot:
        self.delete_snapshot(model.Snapshot(name, volume_id, 0))
        return super().snapshot(volume_id, name)


class Lingering(memory.MemoryVolumeDriver):
    def delete_snapshot(self, snapshot: model.Snapshot) -> None:
        return


class Overwriting(memory.MemoryVolumeDriver):
    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        self.delete(volume_id)
        return super().create(volume_id, size_bytes)


class Sticky(memory.MemoryVolumeDriver):
    def delete(self, volume_id: str) -> None:
        self.show(volume_id)
        super().delete(volume_id)


class Ruthless(memory.MemoryVolumeDriver):
    def delete(self, volume_id: str) -> None:
        for key, opened in list(self._array.opened.items()):
            if opened.volume_id == volume_id:
                self._array.opened.pop(key)
        super().delete(volume_id)


class Dirty(memory.MemoryVolumeDriver):
    """A new volume holds what somebody left there."""

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        made = super().create(volume_id, size_bytes)
        attachment = self.attach_volume(volume_id)
        with open(attachment.path, 'r+b') as file:
            file.write(b'secret'[:size_bytes])
        self.detach(attachment)
        return made


class Undying(memory.MemoryVolumeDriver):
    """Two volumes that had one name cannot be told apart."""

    def show(self, volume_id: str) -> model.Volume:
        return dataclasses.replace(super().show(volume_id), generation='g')


class Twin(memory.MemoryVolumeDriver):
    """A clone is its source under another name."""

    def clone(self, volume_id: str, source_id: str) -> model.Volume:
        made = super().clone(volume_id, source_id)
        source = self._array.volumes[source_id]
        self._array.volumes[volume_id].disk = source.disk.share()
        return made


class Replacing(memory.MemoryVolumeDriver):
    def clone(self, volume_id: str, source_id: str) -> model.Volume:
        self.delete(volume_id)
        return super().clone(volume_id, source_id)


class Stingy(memory.MemoryVolumeDriver):
    def round_size(self, size_bytes: int) -> int:
        return size_bytes // 4096 * 4096


class Unordered(memory.MemoryVolumeDriver):
    def snapshots(self, volume_id: str) -> Sequence[model.Snapshot]:
        return list(reversed(super().snapshots(volume_id)))


class Promoting(memory.MemoryVolumeDriver):
    """What is made of a snapshot is as the volume is now."""

    def create_from_snapshot(
        self, volume_id: str, snapshot: model.Snapshot
    ) -> model.Volume:
        super().create_from_snapshot(volume_id, snapshot)
        self.delete(volume_id)
        return self.clone(volume_id, snapshot.volume_id)


class Layered(memory.MemoryVolumeDriver):
    """The layers that are told are not what is attached."""

    def chain(self, volume_id: str) -> Sequence[model.Link]:
        self.show(volume_id)
        return (model.Link('top', 'qcow2'), model.Link('base', 'raw'))


MUTANTS: list[type[memory.MemoryVolumeDriver]] = [
    Lavish,
    Eager,
    Nameless,
    Foreign,
    Probing,
    Blind,
    Forgetful,
    Shared,
    Strict,
    Own,
    Rounding,
    Making,
    Sharing,
    Ending,
    Zeroing,
    Plain,
    Constant,
    Restless,
    Lazy,
    Late,
    Trusting,
    Clinging,
    Fragile,
    Following,
    Repeating,
    Lingering,
    Overwriting,
    Sticky,
    Ruthless,
    Dirty,
    Undying,
    Twin,
    Replacing,
    Stingy,
    Unordered,
    Promoting,
    Layered,
]


class VolumeDriverSuiteTest(unittest.TestCase):
    def failures(self, driver: type[memory.MemoryVolumeDriver]) -> set[str]:
        name = f'{self.id()} {driver.__name__}'
        self.addCleanup(array.discard, name)
        section = sections.load_volume_driver('memory', array=name).section
        return mutation.failures(
            volume.VolumeDriverSuite,
            make_driver=lambda case: driver('test', section),
        )

    def test_suite_when_a_promise_is_broken_then_fails(self) -> None:
        for mutant in MUTANTS:
            with self.subTest(mutant=mutant.__name__):
                self.assertNotEqual(set(), self.failures(mutant))

    def test_suite_when_driver_is_good_then_passes(self) -> None:
        self.assertEqual(set(), self.failures(memory.MemoryVolumeDriver))

    def test_suite_when_driver_can_do_little_then_passes(self) -> None:
        class Little(memory.MemoryVolumeDriver):
            capabilities = capability.VolumeCapabilities(create=True)
            changed_extents = base.VolumeDriver.changed_extents
            fingerprint = base.VolumeDriver.fingerprint
            keep_checkpoint = base.VolumeDriver.keep_checkpoint
            drop_checkpoint = base.VolumeDriver.drop_checkpoint
            snapshot = base.VolumeDriver.snapshot
            delete_snapshot = base.VolumeDriver.delete_snapshot
            clone = base.VolumeDriver.clone
            snapshots = base.VolumeDriver.snapshots
            create_from_snapshot = base.VolumeDriver.create_from_snapshot
            extents = base.VolumeDriver.extents

            def show(self, volume_id: str) -> model.Volume:
                return dataclasses.replace(
                    super().show(volume_id), in_use=None
                )

        self.assertEqual(set(), self.failures(Little))

    def test_suite_when_not_stated_and_works_then_fails(self) -> None:
        class Modest(memory.MemoryVolumeDriver):
            capabilities = capability.VolumeCapabilities(create=True)

        self.assertNotEqual(set(), self.failures(Modest))

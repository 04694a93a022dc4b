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

"""qcow2 volumes of the driver ``file``, backed up and restored."""

from __future__ import annotations

import contextlib
import pathlib
import random
from unittest import mock

from backupkit.copy import opening
from backupkit.copy.qcow2 import changes
from backupkit.copy.qcow2 import image
from backupkit.copy import qemu
from backupkit import errors
from backupkit import model
from tests.unit.flows import base

MIB = 1 << 20
SIZE = 24 * MIB

CONFIGURATION = """
[DEFAULT]
enabled_backends = local
enabled_targets = repo,other
default_target = repo
state_path = {directory}/state
[backend:local]
driver = file
volumes_dir = {directory}/volumes
qcow2_volumes = *.qcow2
dirty_bitmaps = true
[target:repo]
driver = memory
medium = {name}-medium
chunk_size_bytes = 65536
pack_size_bytes = 1048576
[target:other]
driver = memory
medium = {name}-other
"""


class Qcow2VolumeTestCase(base.KitTestCase):
    configuration = CONFIGURATION

    def setUp(self) -> None:
        super().setUp()
        self.volumes = pathlib.Path(self.directory) / 'volumes'
        self.volumes.mkdir()
        self.draw = random.Random(3)

    def img(self, *arguments: str) -> str:
        return qemu.run('qemu-img', *arguments, directory=str(self.volumes))

    def put(self, volume_id: str, offset: int, length: int) -> None:
        """Write random bytes to a volume, as its user does."""
        attachment = self.driver.attach_volume(volume_id)
        writer = opening.open_writer(attachment, SIZE, reads_zero=False)
        with contextlib.closing(writer):
            writer.write(offset, [bytearray(self.draw.randbytes(length))])
            writer.finish()
        self.driver.detach(attachment)

    def make_filled(self, volume_id: str = 'a.qcow2') -> None:
        self.kit.create_volume(f'local:{volume_id}', SIZE)
        for offset in (0, 5 * MIB, 20 * MIB):
            self.put(volume_id, offset, 3 * MIB)

    def bitmaps(self) -> list[str]:
        attachment = self.driver.attach('a.qcow2', None)
        return [
            entry.name
            for entry in self.catalog.ledger()
            if changes.find(attachment, entry.name).enabled
        ]

    def assert_equal_images(self, one: str, other: str) -> None:
        formats = ['qcow2' if '.qcow2' in n else 'raw' for n in (one, other)]
        self.img('compare', '-f', formats[0], '-F', formats[1], one, other)


class RoundTripTest(Qcow2VolumeTestCase):
    def test_show_when_qcow2_then_format_and_both_sizes(self) -> None:
        self.make_filled()
        shown = self.kit.show_volume('local:a.qcow2')
        self.assertEqual('qcow2', shown.format)
        self.assertEqual(SIZE, shown.size_bytes)
        self.assertGreater(shown.allocated_bytes or 0, 9 * MIB)
        self.assertLess(shown.allocated_bytes or 0, 11 * MIB)
        (listed,) = self.kit.list_volumes()
        self.assertEqual(('qcow2', SIZE), (listed.format, listed.size_bytes))

    def test_backup_when_qcow2_then_only_what_is_stored_is_read(self) -> None:
        self.make_filled()
        row = self.kit.create_backup('local:a.qcow2')
        self.assertEqual(9 * MIB, row.read_bytes)
        self.assertEqual(SIZE, row.size_bytes)

    def test_restore_when_of_the_other_format_then_the_same(self) -> None:
        self.make_filled()
        row = self.kit.create_backup('local:a.qcow2')
        for name in ('b.img', 'b.qcow2'):
            self.kit.restore_backup(row.backup_id, new=f'local:{name}')
            self.assert_equal_images('a.qcow2', name)
        again = self.kit.create_backup('local:b.img')
        self.put('b.qcow2', 10 * MIB, 2 * MIB)
        self.kit.restore_backup(
            again.backup_id, to='local:b.qcow2', overwrite=True
        )
        self.assert_equal_images('a.qcow2', 'b.qcow2')
        self.img('check', '-q', '-f', 'qcow2', 'b.qcow2')

    def test_create_when_the_size_is_odd_then_it_says_why(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, 'multiples of 512'):
            self.kit.create_volume('local:odd.qcow2', 1000)

    def test_when_it_is_no_qcow2_then_it_is_refused(self) -> None:
        (self.volumes / 'false.qcow2').write_bytes(bytes(MIB))
        with self.assertRaisesRegex(errors.SourceError, 'qcow2_volumes says'):
            self.kit.show_volume('local:false.qcow2')
        with self.assertLogs('backupkit_plugins', 'WARNING'):
            self.assertEqual([], self.kit.list_volumes())

    def test_when_not_declared_then_its_bytes_are_the_volume(self) -> None:
        self.img('create', '-q', '-f', 'qcow2', 'plain.img', '1G')
        content = (self.volumes / 'plain.img').read_bytes()
        self.assertEqual(
            ('raw', len(content)),
            (
                self.kit.show_volume('local:plain.img').format,
                self.kit.show_volume('local:plain.img').size_bytes,
            ),
        )
        row = self.kit.create_backup('local:plain.img')
        self.kit.restore_backup(row.backup_id, new='local:again.img')
        self.assertEqual(content, (self.volumes / 'again.img').read_bytes())


class IncrementalTest(Qcow2VolumeTestCase):
    def back_up(self, target: str | None = None) -> int:
        """Make a backup, prove it, and return how much was read."""
        row = self.kit.create_backup('local:a.qcow2', target=target)
        self.kit.restore_backup(row.backup_id, new='local:proof.img')
        self.assert_equal_images('a.qcow2', 'proof.img')
        self.kit.delete_volume('local:proof.img')
        return row.read_bytes or 0

    def test_when_little_changed_then_only_that_is_read(self) -> None:
        self.make_filled()
        self.assertEqual(9 * MIB, self.back_up())
        self.put('a.qcow2', 10 * MIB + 5, 70_000)
        self.assertEqual(2 * 65536, self.back_up())
        self.assertEqual(0, self.back_up())
        self.assertEqual(1, len(self.bitmaps()))

    def test_when_two_targets_alternate_then_each_has_its_own(self) -> None:
        self.make_filled()
        self.back_up()
        self.put('a.qcow2', 0, 65536)
        self.assertGreater(self.back_up('other'), 3 * MIB)
        self.assertEqual(2, len(self.bitmaps()))
        self.put('a.qcow2', MIB, 65536)
        self.assertEqual(2 * 65536, self.back_up())
        self.assertEqual(2, len(self.bitmaps()))

    def test_when_the_bitmap_is_gone_then_all_is_read(self) -> None:
        self.make_filled()
        self.back_up()
        (name,) = self.bitmaps()
        self.img('bitmap', '--remove', '-f', 'qcow2', 'a.qcow2', name)
        with self.assertLogs('backupkit.flows', 'WARNING') as logs:
            self.assertEqual(9 * MIB, self.back_up())
        self.assertIn('has no dirty bitmap', logs.output[0])

    def test_when_the_image_was_not_closed_then_all_is_read(self) -> None:
        self.make_filled()
        self.back_up()
        attachment = self.driver.attach_volume('a.qcow2')
        writer = image.Qcow2Writer(attachment.path, SIZE, reads_zero=False)
        with contextlib.closing(writer):
            writer.write(0, [bytearray(b'x')])
            writer.flush()
            writer._server._process.kill()
            writer._server._process.wait()
        with self.assertLogs('backupkit.flows', 'WARNING') as logs:
            self.assertEqual(9 * MIB, self.back_up())
        self.assertIn('not saved', logs.output[0])

    def test_when_a_bitmap_lies_then_a_sample_shows_it(self) -> None:
        self.make_filled()
        self.back_up()
        self.put('a.qcow2', 0, 3 * MIB)
        self.put('a.qcow2', 5 * MIB, 3 * MIB)
        self.put('a.qcow2', 20 * MIB, 3 * MIB)

        def nothing(*_: object) -> list[model.Extent]:
            return [model.Extent(0, SIZE, model.ExtentKind.SAME)]

        with (
            mock.patch.object(
                changes,
                'marked',
                autospec=True,
                side_effect=lambda *_: iter(nothing()),
            ),
            self.assertLogs('backupkit.repository', 'WARNING') as logs,
        ):
            self.assertEqual(9 * MIB, self.back_up())
        self.assertIn('it differs from backup', logs.output[0])

    def test_when_the_volume_is_another_then_all_is_read(self) -> None:
        self.make_filled()
        self.back_up()
        copy = self.volumes / 'copy'
        copy.write_bytes((self.volumes / 'a.qcow2').read_bytes())
        copy.rename(self.volumes / 'a.qcow2')
        with self.assertLogs('backupkit.flows', 'WARNING') as logs:
            self.assertEqual(9 * MIB, self.back_up())
        self.assertIn('another volume', logs.output[0])

    def test_when_bitmaps_are_not_wanted_then_none_is_made(self) -> None:
        type(self).configuration = CONFIGURATION.replace(
            'dirty_bitmaps = true', ''
        )
        self.addCleanup(setattr, type(self), 'configuration', CONFIGURATION)
        self.kit = self.connect()
        self.session = self.kit._session
        self.make_filled()
        self.assertEqual(9 * MIB, self.back_up())
        self.assertEqual(9 * MIB, self.back_up())
        self.assertEqual([], self.catalog.ledger())

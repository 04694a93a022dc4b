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

"""Volumes in layers, from the API to the files and back."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import unittest

from backupkit import api
from backupkit.copy import opening
from backupkit import errors
from backupkit.testing import sections
from tests.conformance import shares

_SIZE = 8 * 1024 * 1024
_CONFIGURATION = """\
[DEFAULT]
enabled_backends = nas, local
enabled_targets = repo
default_target = repo
state_path = {root}/state
[catalog]
connection = sqlite:///{root}/catalog.sqlite
[backend:nas]
driver = nfs
backup_nfs_share = nas.example.org:/srv/volumes
nfs_qcow2_volumes = {qcow2}
[backend:local]
driver = file
volumes_dir = {root}/volumes
[target:repo]
driver = posix
backup_posix_path = {root}/repo
chunk_size_bytes = 65536
"""


class LayersTest(unittest.TestCase):
    qcow2 = False

    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name).resolve()
        for name in ('share', 'volumes', 'repo'):
            (self.root / name).mkdir()
        shares.Share(self, str(self.root / 'share'))
        config = self.root / 'backupkit.conf'
        config.write_text(
            _CONFIGURATION.format(root=self.root, qcow2=self.qcow2)
        )
        self.kit = api.connect([str(config)])
        self.addCleanup(self.kit.close)
        self.driver = sections.load_volume_driver(
            'nfs',
            'nas',
            backup_nfs_share=shares.SHARE,
            nfs_qcow2_volumes=self.qcow2,
        )

    def write(self, volume_id: str, offset: int, data: bytes) -> None:
        attachment = self.driver.attach_volume(volume_id)
        writer = opening.open_writer(attachment, _SIZE, reads_zero=False)
        with contextlib.closing(writer):
            writer.write(offset, [bytearray(data)])
            writer.finish()
        self.driver.detach(attachment)

    def read(self, volume_id: str) -> bytes:
        attachment = self.driver.attach(volume_id, None)
        data = bytearray(attachment.size_bytes)
        with contextlib.closing(opening.open_reader(attachment)) as reader:
            reader.read_into(0, [data])
        self.driver.detach(attachment)
        return bytes(data)

    def names(self, volume: str) -> list[str]:
        return [taken.name for taken in self.kit.list_snapshots(volume)]

    def test_when_shown_then_its_layers_are_told(self) -> None:
        self.kit.create_volume('nas:v', _SIZE)
        made = self.kit.create_snapshot('nas:v', 'one')
        self.assertEqual(
            ('one', 'nas:v', _SIZE), (made.name, made.volume, made.size_bytes)
        )
        shown = self.kit.show_volume('nas:v')
        self.assertEqual(('qcow2', _SIZE), (shown.format, shown.size_bytes))
        self.assertEqual(('one',), shown.snapshots)
        below = 'qcow2' if self.qcow2 else 'raw'
        self.assertEqual(
            ['qcow2', below], [link.format for link in shown.chain]
        )
        self.assertEqual('volume-v', shown.chain[-1].name)
        self.assertGreater(shown.allocated_bytes or 0, 0)

    def test_when_cloned_then_each_is_its_own(self) -> None:
        self.kit.create_volume('nas:v', _SIZE)
        self.write('v', 0, b'old' * 1000)
        self.kit.create_snapshot('nas:v', 'one')
        self.write('v', 0, b'new' * 1000)
        self.kit.clone_volume('nas:v', 'nas:new')
        self.kit.clone_volume('nas:v', 'nas:old', snapshot='one')
        self.kit.delete_snapshot('nas:v', 'one')
        self.assertEqual([], self.names('nas:v'))
        self.kit.delete_volume('nas:v')
        self.assertEqual(b'new' * 1000, self.read('new')[:3000])
        self.assertEqual(b'old' * 1000, self.read('old')[:3000])

    def test_when_it_cannot_be_then_told_why(self) -> None:
        self.kit.create_volume('nas:v', _SIZE)
        with self.assertRaises(errors.UsageError):
            self.kit.clone_volume('nas:v', 'local:v')
        with self.assertRaises(errors.VolumeNotFound):
            self.kit.clone_volume('nas:v', 'nas:w', snapshot='none')
        with self.assertRaises(errors.VolumeNotFound):
            self.kit.delete_snapshot('nas:w', 'none')
        self.kit.delete_snapshot('nas:v', 'none')

    def test_when_backed_up_again_then_only_changes_are_read(self) -> None:
        self.kit.create_volume('nas:v', _SIZE)
        self.write('v', 0, bytes(range(256)) * (_SIZE // 256))
        first = self.kit.create_backup('nas:v')
        self.write('v', 3 << 20, b'x' * 65536)
        before = self.read('v')
        second = self.kit.create_backup('nas:v')
        self.assertEqual(first.backup_id, second.parent_id)
        self.assertGreaterEqual(first.read_bytes, _SIZE)
        self.assertLessEqual(second.read_bytes, 1 << 20)
        self.write('v', 0, bytes(_SIZE))
        self.kit.restore_backup(second.backup_id, to='nas:v', overwrite=True)
        self.assertEqual(before, self.read('v'))
        # One snapshot stays, for the next backup.
        self.assertEqual(1, len(self.names('nas:v')))
        self.kit.delete_volume('nas:v')
        names = [path.name for path in (self.root / 'share').iterdir()]
        self.assertEqual(['.backupkit-storage'], names)

    def test_when_restored_as_new_then_format_is_the_backends(self) -> None:
        self.kit.create_volume('nas:v', _SIZE)
        self.write('v', 5 << 20, b'data' * 1000)
        made = self.kit.create_backup('nas:v')
        self.kit.restore_backup(made.backup_id, new='local:v')
        raw = (self.root / 'volumes/v').read_bytes()
        self.assertEqual(self.read('v'), raw)
        back = self.kit.create_backup('local:v')
        self.kit.restore_backup(back.backup_id, new='nas:again')
        self.assertEqual(raw, self.read('again'))


class Qcow2LayersTest(LayersTest):
    qcow2 = True

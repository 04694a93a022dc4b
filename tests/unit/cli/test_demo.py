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

"""The demo, where something does not come out right."""

import pathlib
import shutil
from typing import Any
from unittest import mock

from backupkit import api
from backupkit import catalog
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from tests.unit.cli import program

_FULL = catalog.BackupRow('11111111-full', 'local', 'demo.img')
_INCREMENTAL = catalog.BackupRow(
    '22222222-incr',
    'local',
    'demo.img',
    kind=model.BackupKind.INCREMENTAL,
)


class DemoTest(program.ProgramTest):
    """``self.kept`` is what stands for the repository."""

    def setUp(self) -> None:
        super().setUp()
        patched = mock.patch.object(api, 'connect', autospec=True)
        connect = patched.start()
        self.addCleanup(patched.stop)
        connect.side_effect = self.connect
        self.kept: dict[str, bytes] = {}
        self.spoil = b''
        self.rows = iter((_FULL, _INCREMENTAL))
        self.kit.create_backup.side_effect = self.create
        self.kit.restore_backup.side_effect = self.restore
        self.kit.verify_backup.return_value = target_.Report(chunks=3)
        self.kit.repository_stats.return_value = {
            'logical_bytes': 8192,
            'stored_bytes': 4096,
            'unique_bytes': 4096,
        }

    def connect(self, files: list[str]) -> Any:
        self.config_file = pathlib.Path(files[0])
        return self.kit

    @property
    def volumes(self) -> pathlib.Path:
        return self.config_file.parent / 'volumes'

    def create(self, volume: str, **_: Any) -> catalog.BackupRow:
        row = next(self.rows)
        name = volume.partition(':')[2]
        self.kept[row.backup_id] = (self.volumes / name).read_bytes()
        return row

    def restore(self, backup_id: str, *, new: str, **_: Any) -> mock.Mock:
        name = new.partition(':')[2]
        data = self.kept[backup_id]
        path = self.volumes / name
        path.write_bytes(self.spoil + data[len(self.spoil) :])
        return mock.Mock(size_bytes=len(data))

    def demo(self, *options: str) -> program.Outcome:
        return self.call(
            *('demo', '--dir', str(self.directory), '--size', '256K'), *options
        )

    def left(self) -> list[pathlib.Path]:
        return list(self.directory.glob('backupkit-demo-*'))

    def test_when_all_comes_back_then_it_is_said(self) -> None:
        outcome = self.demo()
        self.assertEqual((0, ''), (outcome.code, outcome.stderr))
        self.assertEqual(2, outcome.stdout.count('equal, byte for byte'))
        self.assertIn('that is 1 byte for 2.0', outcome.stdout)
        self.assertEqual([], self.left())
        self.assertEqual(2, len(set(self.kept.values())))

    def test_when_a_byte_differs_then_it_fails(self) -> None:
        self.spoil = b'?'
        outcome = self.demo()
        self.assertEqual(4, outcome.code)
        self.assertIn('is not what was backed up', outcome.stderr)
        self.assertEqual([], self.left())

    def test_when_a_backup_is_damaged_then_it_fails(self) -> None:
        finding = target_.Finding('packs/1', 'is gone')
        report = target_.Report(findings=(finding,))
        self.kit.verify_backup.return_value = report
        self.assertEqual(4, self.demo().code)
        self.assertEqual([], self.left())

    def test_when_a_step_fails_then_all_goes_away(self) -> None:
        self.kit.create_backup.side_effect = errors.TargetFull('no room')
        self.assertEqual(5, self.demo().code)
        self.assertEqual([], self.left())

    def test_when_it_shall_keep_then_it_stays(self) -> None:
        self.demo('--keep')
        (kept,) = self.left()
        self.addCleanup(shutil.rmtree, kept)
        self.assertTrue((kept / 'volumes/before.img').exists())

    def test_when_the_size_is_too_small_then_it_is_refused(self) -> None:
        outcome = self.call('demo', '--size', '1K')
        self.assertEqual(2, outcome.code)
        self.assertIn('64.0 KiB', outcome.stderr)

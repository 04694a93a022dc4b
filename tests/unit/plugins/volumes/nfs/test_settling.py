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

"""What is made of work that was left half done, where it is in doubt."""

from __future__ import annotations

from collections.abc import Callable
import os
import subprocess

from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.nfs import names
from tests.unit.plugins.volumes.nfs import case


class SettlingTest(case.NfsCase):
    def setUp(self) -> None:
        super().setUp()
        self.nas = self.driver()
        self.nas.create('v', case.SIZE)
        self.overlay = names.overlay('v', 'one')

    def io(self, name: str, format_: str, command: str) -> None:
        """Write to a file behind the driver's back."""
        subprocess.run(
            ['qemu-io', '-f', format_, '-c', command, self.directory / name],
            check=True,
            capture_output=True,
        )

    def begin_snapshot(self) -> None:
        """Leave an overlay as it is right before a process goes over."""
        path = self.image(self.overlay, '-u', '-b', 'volume-v', '-F', 'raw')
        self.intend(
            'v',
            change='snapshot',
            snapshot='one',
            file=self.overlay,
            below='volume-v',
            fresh_bytes=path.stat().st_size,
        )

    def begin_merge(self, *, switched: bool) -> None:
        """Leave a merge of the overlay in use as its process has died."""
        self.nas.snapshot('v', 'one')
        self.io(self.overlay, 'qcow2', 'write -P 1 0 64k')
        self.intend(
            'v',
            change='merge',
            snapshot='one',
            file=self.overlay,
            below='volume-v',
            switched=switched,
        )

    def byte(self, offset: int = 0) -> int:
        """Return a byte of the volume, which has no overlay."""
        self.assertEqual(['volume-v'], [k.name for k in self.nas.chain('v')])
        return (self.directory / 'volume-v').read_bytes()[offset]

    def test_when_overlay_was_never_written_then_undone(self) -> None:
        self.begin_snapshot()
        self.nas.attach_volume('v')
        self.assertEqual(['volume-v'], [k.name for k in self.nas.chain('v')])
        self.assertIsNone(self.record('v')['intent'])

    def test_when_overlay_was_written_then_it_is_in_use(self) -> None:
        self.begin_snapshot()
        self.io(self.overlay, 'qcow2', 'write -P 7 0 64k')
        self.nas.detach(self.nas.attach('v', None))
        self.assertEqual(self.overlay, self.nas.chain('v')[0].name)
        self.assertEqual(['one'], [s.name for s in self.nas.snapshots('v')])

    def test_when_both_were_written_then_nothing_is_done(self) -> None:
        self.begin_snapshot()
        self.io(self.overlay, 'qcow2', 'write -P 7 0 64k')
        later = (self.directory / self.overlay).stat().st_mtime_ns + 10**9
        os.utime(self.directory / 'volume-v', ns=(later, later))
        for _ in range(2):
            with self.assertRaisesRegex(errors.SourceError, 'keep both'):
                self.nas.snapshot('v', 'two')
        self.assertTrue((self.directory / self.overlay).exists())

    def test_when_merge_was_begun_then_it_is_finished(self) -> None:
        self.begin_merge(switched=False)
        self.nas.detach(self.nas.attach('v', None))
        self.assertEqual(1, self.byte())
        self.assertFalse((self.directory / self.overlay).exists())

    def test_when_process_went_over_or_not_then_same_bytes(self) -> None:
        self.begin_merge(switched=True)
        self.io('volume-v', 'raw', 'write -P 1 0 64k')
        self.nas.detach(self.nas.attach('v', None))
        self.assertEqual(1, self.byte())

    def test_when_nobody_can_tell_then_nothing_is_lost(self) -> None:
        self.begin_merge(switched=True)
        self.io('volume-v', 'raw', 'write -P 2 0 64k')
        calls: list[Callable[[], object]] = [
            lambda: self.nas.attach('v', None),
            lambda: self.nas.snapshot('v', 'two'),
        ]
        for call in calls:
            with self.assertRaisesRegex(errors.SourceError, 'keep both'):
                call()
        data = (self.directory / 'volume-v').read_bytes()
        self.assertEqual(2, data[0])
        self.assertTrue((self.directory / self.overlay).exists())

    def test_when_snapshot_is_being_merged_then_it_is_none(self) -> None:
        self.begin_merge(switched=False)
        self.assertEqual([], list(self.nas.snapshots('v')))

    def test_when_record_is_damaged_then_it_is_told(self) -> None:
        path = self.directory / 'volume-v.backupkit'
        for text in ('{}', '{"version": 2}', '[]', ''):
            path.write_text(text)
            with self.assertRaisesRegex(errors.SourceError, 'is damaged'):
                self.nas.show('v')

    def test_when_bytes_of_snapshot_are_gone_then_it_can_go(self) -> None:
        self.info('v', active='volume-v', one='volume-v.0f')
        self.assertEqual([], list(self.nas.snapshots('v')))
        self.nas.delete_snapshot(model.Snapshot('one', 'v', 0))
        self.assertNotIn('one', (self.directory / 'volume-v.info').read_text())

    def test_when_foreign_file_is_in_the_way_then_it_stays(self) -> None:
        path = self.directory / self.overlay
        path.write_bytes(b'whose?')
        with self.assertRaisesRegex(errors.SourceError, 'in the way'):
            self.nas.snapshot('v', 'one')
        self.assertEqual(b'whose?', path.read_bytes())

    def test_when_an_image_is_missing_then_it_is_told(self) -> None:
        taken = self.nas.snapshot('v', 'one')
        (self.directory / 'volume-v').unlink()
        calls: list[Callable[[], object]] = [
            lambda: self.nas.show('v'),
            lambda: self.nas.delete_snapshot(taken),
            lambda: self.nas.delete('v'),
        ]
        for call in calls:
            with self.assertRaisesRegex(errors.SourceError, 'is missing'):
                call()
        self.assertTrue((self.directory / self.overlay).exists())

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

"""Files and documents that would have a tool of QEMU open something else."""

from __future__ import annotations

from collections.abc import Callable
import json
from unittest import mock

from backupkit.copy import qemu
from backupkit import errors
from backupkit import model
from tests.unit.plugins.volumes.nfs import case


class HostileTest(case.NfsCase):
    """No tool is even started."""

    def setUp(self) -> None:
        super().setUp()
        self.canary = self.directory / 'canary'
        self.canary.write_bytes(b'secret' * 100_000)

    def assert_refused(self, volume_id: str) -> None:
        """Assert that nothing is done with a volume, and by no tool."""
        driver = self.driver(nfs_qcow2_volumes=True)
        calls: list[Callable[[], object]] = [
            lambda: driver.show(volume_id),
            lambda: driver.attach(volume_id, None),
            lambda: driver.attach_volume(volume_id),
            lambda: driver.snapshot(volume_id, 'new'),
            lambda: driver.clone('copy', volume_id),
            lambda: driver.delete(volume_id),
        ]
        with mock.patch.object(qemu, 'start', autospec=True) as started:
            for call in calls:
                with self.assertRaises(errors.SourceError):
                    call()
            self.assertEqual([], [v.volume_id for v in driver.list()])
        started.assert_not_called()
        self.assertEqual(b'secret' * 100_000, self.canary.read_bytes())

    def test_when_volume_names_a_backing_file_then_refused(self) -> None:
        self.image('volume-v', '-b', str(self.canary), '-F', 'raw')
        self.assert_refused('v')

    def test_when_volume_names_a_data_file_then_refused(self) -> None:
        self.image('volume-v', '-o', f'data_file={self.directory}/data')
        self.assert_refused('v')

    def test_when_name_has_a_protocol_then_refused(self) -> None:
        for name in ('json:{"driver":"null-co"}', 'nbd://127.0.0.1:1/x'):
            self.image('volume-v', '-u', '-b', name, '-F', 'raw')
            self.assert_refused('v')

    def test_when_overlay_names_a_foreign_file_then_refused(self) -> None:
        self.image('volume-v')
        overlay = 'volume-v.0f'
        for name in (str(self.canary), 'canary', '../x', 'volume-w'):
            self.image(overlay, '-u', '-b', name, '-F', 'raw')
            self.info('v', active=overlay, s=overlay)
            self.assert_refused('v')

    def test_when_two_files_are_not_on_record_then_refused(self) -> None:
        self.image('volume-v.01')
        self.image('volume-v.02', '-u', '-b', 'volume-v.01', '-F', 'qcow2')
        self.image('volume-v.03', '-u', '-b', 'volume-v.02', '-F', 'qcow2')
        self.info('v', active='volume-v.03', s='volume-v.03')
        self.assert_refused('v')

    def test_when_overlays_go_round_then_refused(self) -> None:
        self.image('volume-v')
        one, two = 'volume-v.01', 'volume-v.02'
        self.image(one, '-u', '-b', two, '-F', 'qcow2')
        self.image(two, '-u', '-b', one, '-F', 'qcow2')
        self.info('v', active=one, s=one, t=two)
        self.assert_refused('v')

    def test_when_document_names_foreign_files_then_refused(self) -> None:
        self.image('volume-v')
        for plain in (
            {'active': 'canary'},
            {'active': '/etc/passwd'},
            {'active': 'volume-v', 's': '../canary'},
            {'active': 'volume-v', 's': 7},
            {'s': 'volume-v'},
            {'active': None},
        ):
            self.info('v', **plain)
            self.assert_refused('v')

    def test_when_document_is_none_then_refused(self) -> None:
        self.image('volume-v')
        path = self.directory / 'volume-v.info'
        for text in ('', '[]', '{', '[' * 100_000, ' ' * (2 << 20)):
            path.write_text(text)
            self.assert_refused('v')

    def test_when_volume_is_a_link_then_refused(self) -> None:
        (self.directory / 'volume-v').symlink_to(self.canary)
        self.assert_refused('v')

    def test_when_record_and_header_differ_then_refused(self) -> None:
        self.image('volume-v')
        self.image('volume-v.0f', '-u', '-b', 'volume-v', '-F', 'raw')
        self.info('v', active='volume-v.0f', s='volume-v.0f')
        self.driver().create('other', case.SIZE)
        record = json.dumps({**self.record('other'), 'format': 'qcow2'})
        (self.directory / 'volume-v.backupkit').write_text(record)
        self.driver().delete('other')
        self.assert_refused('v')

    def test_when_raw_looks_like_an_image_then_it_is_raw(self) -> None:
        path = self.image('volume-v', '-b', str(self.canary), '-F', 'raw')
        data = path.read_bytes()
        driver = self.driver()
        with mock.patch.object(qemu, 'start', autospec=True) as started:
            attachment = driver.attach('v', None)
            driver.detach(attachment)
        started.assert_not_called()
        self.assertEqual('raw', attachment.format)
        self.assertEqual(len(data), attachment.size_bytes)

    def test_when_raw_has_a_snapshot_then_it_stays_raw(self) -> None:
        self.image('volume-v', '-b', str(self.canary), '-F', 'raw')
        with (self.directory / 'volume-v').open('ab') as file:
            file.truncate(case.SIZE)
        data = (self.directory / 'volume-v').read_bytes()
        driver = self.driver()
        taken = driver.snapshot('v', 'one')
        self.assertEqual(
            [('volume-v', 'raw')],
            [(k.name, k.format) for k in driver.chain('v')[1:]],
        )
        driver.create_from_snapshot('copy', taken)
        self.assertEqual(data, (self.directory / 'volume-copy').read_bytes())
        driver.delete_snapshot(taken)
        self.assertEqual(data, (self.directory / 'volume-v').read_bytes())


class FormatTest(case.NfsCase):
    """Where the format of a volume is told."""

    def test_when_declared_then_that_counts(self) -> None:
        self.image('volume-v')
        self.assertEqual('raw', self.driver().show('v').format)
        driver = self.driver(volume_formats='v:qcow2,w:raw')
        shown = driver.show('v')
        self.assertEqual(
            ('qcow2', case.SIZE), (shown.format, shown.size_bytes)
        )

    def test_when_overlay_tells_then_that_counts(self) -> None:
        self.image('volume-v')
        self.image('volume-v.0f', '-u', '-b', 'volume-v', '-F', 'qcow2')
        self.info('v', active='volume-v.0f', s='volume-v.0f')
        self.assertEqual(
            ['qcow2', 'qcow2'], [k.format for k in self.driver().chain('v')]
        )

    def test_when_option_changes_then_volumes_stay(self) -> None:
        self.driver().create('v', case.SIZE)
        again = self.driver(nfs_qcow2_volumes=True)
        self.assertEqual('raw', again.show('v').format)

    def test_when_declared_as_nothing_known_then_check_tells(self) -> None:
        with self.assertRaises(errors.ConfigurationError):
            self.driver(volume_formats='v:vmdk').check()

    def test_when_cinder_merged_all_into_overlay_then_it_is_base(self) -> None:
        # As Cinder leaves it once a guest's last snapshot is deleted.
        overlay = self.image('volume-v.0f')
        self.info('v', active='volume-v.0f')
        driver = self.driver()
        self.assertEqual('qcow2', driver.show('v').format)
        self.assertEqual(['v'], [v.volume_id for v in driver.list()])
        taken = driver.snapshot('v', 'one')
        driver.delete_snapshot(taken)
        self.assertEqual(
            [model.Link(overlay.name, 'qcow2')], [*driver.chain('v')]
        )
        driver.delete('v')
        self.assertFalse(overlay.exists())

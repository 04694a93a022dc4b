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


"""How the volume of a backup is opened, and plain forms of values."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import json
import unittest

from backupkit.drivers import target
from backupkit import errors
from backupkit.flows import plain
from backupkit.flows import reading
from backupkit import model
from tests.unit.flows import base


class SourceTestCase(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()
        self.attachment = self.driver.attach('v', None)
        self.addCleanup(self.driver.detach, self.attachment)

    def extents(self, parent_id: str | None) -> list[model.Extent]:
        with reading.Source(
            self.driver, self.attachment, self.catalog
        ) as source:
            return list(source.open(parent_id).extents())

    def test_when_the_format_is_unknown_then_it_is_refused(self) -> None:
        attachment = dataclasses.replace(self.attachment, format='vmdk')
        with (
            reading.Source(self.driver, attachment, self.catalog) as source,
            self.assertRaisesRegex(errors.NotSupported, 'format .vmdk.'),
        ):
            source.open(None)

    def test_without_a_parent_then_the_map_is_used(self) -> None:
        kinds = {extent.kind for extent in self.extents(None)}
        self.assertEqual({model.ExtentKind.DATA, model.ExtentKind.ZERO}, kinds)

    def test_with_a_parent_then_what_is_the_same_is_told(self) -> None:
        row = self.kit.create_backup('local:v')
        self.assertEqual(
            {model.ExtentKind.SAME},
            {extent.kind for extent in self.extents(row.backup_id)},
        )

    def test_when_the_checkpoint_is_another_then_all_is_read(self) -> None:
        row = self.kit.create_backup('local:v')
        self.catalog.update_backup(row.backup_id, volume_generation='other')
        with self.assertLogs('backupkit.flows', 'INFO'):
            extents = self.extents(row.backup_id)
        self.assertEqual(self.extents(None), extents)

    def test_when_the_map_breaks_off_then_the_driver_is_named(self) -> None:
        def broken(*unused: object) -> Iterator[model.Extent]:
            yield model.Extent(0, 512, model.ExtentKind.DATA)
            raise KeyError('x')

        self.patch(type(self.driver), 'extents', broken)
        with self.assertRaisesRegex(errors.SourceError, 'backend local'):
            self.extents(None)


class PlainTestCase(unittest.TestCase):
    def test_when_a_request_is_kept_then_it_comes_back(self) -> None:
        request = model.BackupRequest(
            backup_id='a',
            run_number=3,
            backend='local',
            volume=model.Volume('v', 512, in_use=False, properties={'a': 'b'}),
            name='n',
            full=True,
            consistent=False,
            created_at='2026-11-21T09:00:00+00:00',
        )
        kept = json.loads(json.dumps(plain.from_request(request)))
        self.assertEqual(request, plain.to_request(kept))

    def test_when_a_report_is_kept_then_it_comes_back(self) -> None:
        report = target.Report(
            objects=1,
            chunks=2,
            bytes_read=3,
            findings=(target.Finding('n', 'p', ('a', 'b')),),
        )
        kept = json.loads(json.dumps(plain.from_report(report)))
        self.assertEqual(report, plain.to_report(kept))

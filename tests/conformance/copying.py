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

"""Tests of targets whose storage copies volumes by itself."""

from backupkit.testing import filed
from backupkit.testing.target import case
from tests.conformance import places


class CopyTests(case.TargetCase):
    """A mixin: the volumes lie on the file system of the target."""

    def make_source(self) -> str:
        return places.directory(self)

    def test_transfer_when_on_one_file_system_then_nothing_is_read(
        self,
    ) -> None:
        volume = filed.FiledVolume(b'data' * 50_000, self.make_source())
        summary = self.cycle.backup(volume)
        self.assertEqual(0, summary.read_bytes)
        self.assertEqual(0, volume.reader and volume.reader.read_bytes)
        report = self.cycle.verify(summary.backup_id, full=False)
        self.assertEqual(len(volume.data), report.bytes_read)
        report = self.cycle.verify(summary.backup_id, full=False)
        self.assertEqual((0, ()), (report.bytes_read, report.findings))
        self.assert_all_restore(volume)

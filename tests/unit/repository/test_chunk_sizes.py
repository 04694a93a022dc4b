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

"""Backups and restores with chunks of any size that is allowed."""

from __future__ import annotations

import hashlib
import random

from backupkit.copy import pipeline
from tests.unit.repository import case


class OddChunkTest(case.RepositoryCase):
    def digest(self, data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    def test_when_chunks_do_not_divide_a_batch_then_all_is_restored(
        self,
    ) -> None:
        data = random.Random(11).randbytes(2 * pipeline.BATCH_BYTES + 77)
        for size in (12_288, 300_001, pipeline.BATCH_BYTES + 4096):
            with self.subTest(size):
                self.setUp()
                self.target = self.make_target(
                    chunk_size_bytes=size, pack_size_bytes=1 << 24
                )
                backup_id = self.back_up(data).backup_id
                self.assertEqual(
                    self.digest(data), self.digest(self.restore(backup_id))
                )
                self.assertEqual((), self.verify(backup_id).findings)

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


"""Tests of the one moment at which a backup comes to exist, or never."""

from __future__ import annotations

import json
import uuid

from backupkit.drivers import target
from backupkit import errors
from backupkit.testing import cycle as cycle_
from backupkit.testing import plain
from backupkit.testing.target import case


class CommitTests(case.TargetCase):
    """Tests of ``commit``, ``abort`` and ``revise``."""

    def prepare(self, volume: plain.PlainVolume) -> cycle_.Run:
        """Prepare a backup without committing it."""
        run = self.cycle.begin()
        self.cycle.prepare(run, volume.describe(), volume.open)
        return run

    def test_backup_when_not_committed_then_does_not_exist(self) -> None:
        """Guards: Target.backup, Target.show raises NotFound."""
        run = self.prepare(self.make_volume())
        self.assert_absent(run.backup_id)

    def test_commit_when_told_in_plain_then_another_does_it(self) -> None:
        """Guards: Prepared, Target.commit."""
        volume = self.make_volume()
        run = self.prepare(volume)
        self.assertIsNotNone(run.prepared)
        if run.prepared:
            plain_text = json.dumps(run.prepared.to_dict())
            rebuilt = target.Prepared.from_dict(json.loads(plain_text))
            self.assertEqual(run.prepared, rebuilt)
            self.make_target().commit(rebuilt)
        self.assert_restores(run.backup_id, bytes(volume.data))

    def test_commit_when_done_twice_then_succeeds(self) -> None:
        """Guards: Target.commit."""
        volume = self.make_volume()
        run = self.prepare(volume)
        self.cycle.commit(run)
        self.cycle.commit(run)
        self.assert_restores(run.backup_id, bytes(volume.data))

    def test_commit_when_aborted_before_then_refused(self) -> None:
        """Guards: Target.commit raises RunAborted, Target.abort."""
        run = self.prepare(self.make_volume())
        self.assertTrue(self.make_target().abort(run.backup_id))
        with self.assertRaises(errors.RunAborted):
            self.cycle.commit(run)
        self.assert_absent(run.backup_id)

    def test_abort_when_committed_then_nothing_is_removed(self) -> None:
        """Guards: Target.abort."""
        volume = self.make_volume()
        summary = self.cycle.backup(volume)
        before = self.objects()
        self.assertFalse(self.target.abort(summary.backup_id))
        self.assertEqual(before, self.objects())
        self.assert_all_restore(volume)

    def test_abort_when_prepared_then_nothing_is_left(self) -> None:
        """Guards: Target.abort."""
        volume = self.make_volume()
        self.cycle.backup(volume)
        self.cycle.collect()
        before = self.objects()
        run = self.prepare(self.make_volume(volume_id='other'))
        self.assertTrue(self.cycle.abort(run))
        self.assertTrue(self.target.abort(run.backup_id))
        self.cycle.collect()
        if self.store_is_complete:
            self.assertEqual(before, self.objects())
        self.assert_absent(run.backup_id)
        self.assert_all_restore(volume)

    def test_abort_when_there_is_nothing_then_succeeds(self) -> None:
        """Guards: Target.abort."""
        self.assertTrue(self.target.abort(str(uuid.uuid4())))
        volume = self.make_volume()
        self.cycle.backup(volume)
        absent = str(uuid.uuid4())
        self.assertTrue(self.target.abort(absent))
        self.assert_absent(absent)
        self.assert_all_restore(volume)

    def test_abort_when_the_run_comes_late_then_never_exists(self) -> None:
        """Guards: Target.abort, Target.commit raises RunAborted."""
        self.cycle.backup(self.make_volume())
        late = self.cycle.begin()
        # As flows do: the catalog is told before the target.
        self.cycle.coordinator.end(late.number)
        self.assertTrue(self.target.abort(late.backup_id))
        volume = self.make_volume(volume_id='late')
        with self.assertRaises(errors.BackupkitError):
            self.cycle.prepare(late, volume.describe(), volume.open)
            self.cycle.commit(late)
        self.assert_absent(late.backup_id)

    def test_revise_when_not_consistent_then_is_kept(self) -> None:
        """Guards: Target.revise."""
        volume = self.make_volume()
        run = self.prepare(volume)
        if run.prepared:
            run.prepared = self.target.revise(run.prepared, consistent=False)
        summary = self.cycle.commit(run)
        self.assertFalse(summary.consistent)
        self.assertEqual(summary, self.target.show(run.backup_id))
        self.assert_restores(run.backup_id, bytes(volume.data))

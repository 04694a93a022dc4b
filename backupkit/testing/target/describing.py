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


"""Tests of what a target tells of itself and of its backups."""

from __future__ import annotations

import tempfile
import uuid

from backupkit import model
from backupkit.testing.target import case


class DescribeTests(case.TargetCase):
    """Tests of ``check``, ``storage_identity``, ``show`` and ``list``."""

    def test_init_when_called_then_only_stores_its_arguments(self) -> None:
        """Guards: Driver."""
        section = object()
        made = type(self.target)('unused', section)
        self.assertEqual('unused', made.name)
        self.assertIs(section, made.section)

    def test_check_when_called_then_tells_no_more_than_stated(self) -> None:
        """Guards: Target.check, TargetCapabilities.store."""
        stated = type(self.target).capabilities
        self.assert_subset(self.target.check(), stated)
        repository = self.repository()
        self.assertEqual(stated.repository, repository is not None)
        if repository:
            with repository.open() as opened:
                self.assert_subset(opened.capabilities, stated.store)
                self.assertEqual(
                    self.target.check().store, opened.capabilities
                )

    def test_check_when_place_is_empty_then_stays_empty(self) -> None:
        """Guards: Target.check."""
        self.assertEqual(self.target.check(), self.target.check())
        self.assertEqual({}, self.cycle.listed())
        self.assertEqual(set(), self.objects())

    def test_check_when_there_are_backups_then_nothing_changes(self) -> None:
        """Guards: Target.check."""
        volume = self.make_volume()
        self.cycle.backup(volume)
        before = self.objects()
        self.target.check()
        self.assertEqual(before, self.objects())
        self.assert_all_restore(volume)

    def test_identity_when_asked_again_then_is_the_same(self) -> None:
        """Guards: Target.storage_identity."""
        identity = self.target.storage_identity()
        self.assertIsInstance(identity, model.StorageIdentity | None)
        self.assertEqual(identity, self.make_target().storage_identity())
        self.cycle.backup(self.make_volume())
        self.assertEqual(identity, self.target.storage_identity())

    def test_identity_when_volumes_must_be_elsewhere_then_known(self) -> None:
        """Guards: TargetCapabilities.separate_storage."""
        if self.effective.separate_storage:
            self.assertIsNotNone(self.target.storage_identity())

    def test_backup_when_there_is_little_to_use_then_restores(self) -> None:
        """Guards: Target.set_environment."""
        with tempfile.TemporaryDirectory() as cache:
            self.target.set_environment(cache, 1, 64 << 20)
            volume = self.make_volume()
            self.cycle.backup(volume)
            self.change(volume)
            self.cycle.backup(volume)
            self.assert_all_restore(volume)

    def test_leftovers_when_not_committed_then_told(self) -> None:
        """Guards: Target.leftovers, Target.abort."""
        kept = self.make_volume()
        self.cycle.backup(kept)
        self.assertEqual([], list(self.target.leftovers()))
        volume = self.make_volume(volume_id='other')
        run = self.cycle.begin()
        self.cycle.prepare(run, volume.describe(), volume.open)
        if not self.effective.repository:
            self.assertEqual([run.backup_id], list(self.target.leftovers()))
        for backup_id in list(self.target.leftovers()):
            self.assertTrue(self.target.abort(backup_id))
        self.assertEqual([], list(self.target.leftovers()))
        self.assert_all_restore(kept)

    def test_show_when_committed_then_tells_what_was_kept(self) -> None:
        """Guards: Target.show, BackupSummary."""
        volume = self.make_volume()
        told = self.cycle.backup(volume)
        shown = self.make_target().show(told.backup_id)
        self.assertEqual(told, shown)
        self.assertEqual(
            ('suite', 'plain', volume.generation, len(volume.data)),
            (
                shown.backend,
                shown.volume_id,
                shown.volume_generation,
                shown.size_bytes,
            ),
        )
        self.assertEqual('made by a suite', shown.name)
        self.assertEqual('2026-01-02T03:04:05+00:00', shown.created_at)

    def test_show_when_there_is_none_then_not_found(self) -> None:
        """Guards: Target.show raises NotFound."""
        self.cycle.backup(self.make_volume())
        self.assert_absent(str(uuid.uuid4()))

    def test_list_when_there_are_backups_then_all_are_told(self) -> None:
        """Guards: Target.list."""
        volumes = [self.make_volume(50_000, f'v{n}') for n in range(3)]
        told = [self.cycle.backup(v) for v in volumes for _ in range(2)]
        self.target = self.cycle.target = self.make_target()
        listed = self.cycle.listed()
        for summary in told:
            found = listed.pop(summary.backup_id, None)
            if found or self.store_is_complete:
                self.assertEqual(summary, found)
        self.assertEqual({}, listed)

    def test_list_when_place_is_empty_then_nothing_is_told(self) -> None:
        """Guards: Target.list."""
        self.assertEqual([], list(self.target.list()))

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

import uuid

from backupkit.drivers import target
from backupkit import errors
from backupkit import model
from backupkit.repository import target as repository_target
from backupkit.testing.target import case


class DescribeTests(case.TargetCase):
    """Tests of ``check``, ``storage_identity``, ``show`` and ``list``."""

    def make_missing_target(self) -> target.Target | None:
        """Return a target whose place is not there, or None.

        An optional hook, for targets whose place may be missing.
        """
        return None

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

    def test_open_when_place_is_missing_then_says_so(self) -> None:
        """Guards: Target.backup raises TargetError."""
        missing = self.make_missing_target()
        if missing is None:
            self.skipTest('the hook make_missing_target is not defined')
        self.target = self.cycle.target = missing
        with self.assertRaises(errors.TargetMissing):
            self.cycle.backup(self.make_volume())
        if isinstance(missing, repository_target.RepositoryTarget):
            with self.assertRaises(errors.TargetMissing):
                missing.open()

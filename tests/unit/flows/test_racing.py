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

"""Aborts and commits where a put does not keep the other one out."""

from __future__ import annotations

import dataclasses
import random
from unittest import mock
import uuid

from backupkit import catalog as catalog_
from backupkit.copy import control
from backupkit.drivers import capability
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import ending
from backupkit import model
from backupkit.testing import lagging
from backupkit.testing.memory import store as store_
from backupkit.testing.memory import target as memory
from tests.unit.catalog import base as catalog_base
from tests.unit.flows import base
from tests.unit.repository import case

DATA = random.Random(1).randbytes(8 * case.CHUNK)
RACY = dataclasses.replace(
    memory.MemoryTarget.capabilities,
    store=lagging.LaggingStore.capabilities,
)


class RacyEndingTest(catalog_base.CatalogTestCase, case.RepositoryCase):
    def setUp(self) -> None:
        catalog_base.CatalogTestCase.setUp(self)
        case.RepositoryCase.setUp(self)
        self.asked = self.catalog.coordinator()
        self.repository_id = self.target.prepare_repository(self.asked)
        patcher = mock.patch.object(type(self.target), 'capabilities', RACY)
        patcher.start()
        self.addCleanup(patcher.stop)

    def write(self) -> tuple[catalog_.Run, target_.Prepared]:
        """Write a backup up to its commit."""
        backup_id = str(uuid.uuid4())
        run = self.register(
            backup_id=backup_id,
            target='memory',
            repository_id=self.repository_id,
        )
        request = model.BackupRequest(
            backup_id,
            run.number,
            run.backend,
            model.Volume(run.volume_id, len(DATA)),
        )
        prepared = self.target.backup(
            request,
            lambda since: case.BytesReader(DATA),
            self.asked,
            control.Control(),
        )
        return run, prepared

    def abandon(
        self, run: catalog_.Run, written: target_.Prepared, *, gone: bool
    ) -> bool:
        return ending.abandon(
            self.catalog,
            self.target,
            run.run_id,
            written.summary.backup_id,
            gone=gone,
        )

    def state(self, run: catalog_.Run) -> str:
        return self.catalog.run(run.run_id).state

    def test_abort_when_it_may_be_committing_then_refused(self) -> None:
        run, written = self.write()
        self.catalog.begin_commit(run.run_id)
        with self.assertRaises(errors.Conflict):
            self.abandon(run, written, gone=False)
        self.assertEqual(catalog_.RunState.COMMITTING, self.state(run))
        self.target.commit(written)
        self.catalog.finish_backup(run.run_id, written.summary)
        self.assertEqual(catalog_.RunState.DONE, self.state(run))

    def test_abort_when_not_committing_then_it_never_does(self) -> None:
        run, written = self.write()
        self.assertTrue(self.abandon(run, written, gone=False))
        with self.assertRaises(errors.RunAborted):
            self.catalog.begin_commit(run.run_id)

    def test_abort_when_its_process_is_gone_then_aborted(self) -> None:
        run, written = self.write()
        self.catalog.begin_commit(run.run_id)
        self.assertTrue(self.abandon(run, written, gone=True))
        self.assertEqual(catalog_.RunState.ABORTED, self.state(run))
        with self.assertRaises(errors.RunAborted):
            self.target.commit(written)

    def test_abort_when_gone_and_committed_then_available(self) -> None:
        run, written = self.write()
        self.catalog.begin_commit(run.run_id)
        self.target.commit(written)
        self.assertFalse(self.abandon(run, written, gone=True))
        self.assertEqual(catalog_.RunState.DONE, self.state(run))


class RacyCapabilityTest(case.RepositoryCase):
    def test_racy_when_puts_keep_each_other_out_then_not(self) -> None:
        self.assertFalse(ending.is_racy(self.target))

    def test_racy_when_there_is_no_store_then_not(self) -> None:
        with mock.patch.object(
            type(self.target), 'capabilities', capability.TargetCapabilities()
        ):
            self.assertFalse(ending.is_racy(self.target))


class RacyCommitTest(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(memory.MemoryTarget, 'capabilities', RACY)
        self.make_volume()

    def suspend(self) -> None:
        """Have a commit fail for good, and so leave it open."""
        with (
            self.breaking('commit', errors.TargetFull('no space')),
            self.assertRaises(errors.Suspended),
        ):
            self.kit.create_backup('local:v')

    def test_commit_when_it_is_refused_then_suspended(self) -> None:
        self.suspend()
        run = self.only_run()
        self.assertEqual(catalog_.RunState.SUSPENDED, run.state)
        self.assertTrue(run.committing_at)
        self.assertTrue(self.packs())

    def test_commit_when_suspended_then_an_abort_completes_it(self) -> None:
        self.suspend()
        self.kit.abort_run(self.only_run().run_id)
        self.assertEqual([], self.kit.list_runs())
        self.assertEqual(model.BackupStatus.AVAILABLE, self.last_row().status)
        (listed,) = self.kit.list_backups()
        self.assertTrue(self.kit.verify_backup(listed.backup_id).good)

    def test_commit_when_its_answer_was_lost_then_abort_finds_it(
        self,
    ) -> None:
        error = errors.TargetFull('a late answer')
        with (
            self.breaking('commit', error, after=True),
            self.assertRaises(errors.Suspended),
        ):
            self.kit.create_backup('local:v')
        self.kit.abort_run(self.only_run().run_id)
        self.assertEqual(model.BackupStatus.AVAILABLE, self.last_row().status)

    def test_commit_when_refused_elsewhere_then_undone(self) -> None:
        self.patch(
            memory.MemoryTarget,
            'capabilities',
            dataclasses.replace(RACY, store=store_.MemoryStore.capabilities),
        )
        with (
            self.breaking('commit', errors.TargetFull('no space')),
            self.assertRaises(errors.TargetFull),
        ):
            self.kit.create_backup('local:v')
        self.assertEqual([], self.packs())
        self.assertEqual([], self.kit.list_runs())

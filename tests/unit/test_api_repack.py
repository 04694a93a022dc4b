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

"""Garbage collection that moves packs, as programs and people ask for it."""

from __future__ import annotations

import random
from typing import Any
from unittest import mock
import uuid

from backupkit import catalog as catalog_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import target as repository_target
from tests.unit.cli import program
from tests.unit.flows import base

CHUNK = 65536


class MovingTestCase(base.KitTestCase):
    """A backup is gone of which half is still needed by the next one."""

    def setUp(self) -> None:
        super().setUp()
        made = random.Random(3)
        self.kit.create_volume('local:v', base.MIB)
        self.write(made.randbytes(base.MIB))
        first = self.kit.create_backup('local:v')
        for at in range(0, base.MIB, 2 * CHUNK):
            self.write(made.randbytes(CHUNK), offset=at)
        self.row = self.kit.create_backup('local:v')
        self.kit.delete_backup(first.backup_id)

    def assert_good(self) -> None:
        """Assert that the backup restores, and no run is left."""
        self.kit.restore_backup(self.row.backup_id, new='local:w')
        self.assertEqual(self.read('v'), self.read('w'))
        self.assertTrue(self.kit.check_repository(read_data=True).good)
        self.assert_nothing_left()

    def test_when_much_is_unused_then_packs_move(self) -> None:
        result = self.kit.collect_garbage()
        self.assertLess(0, result.moved_packs)
        # The eighth is in a pack of its own.
        self.assertEqual(7 * CHUNK, result.moved_bytes)
        self.assert_good()

    def test_when_that_may_stay_then_none_moves(self) -> None:
        for share in (0.9, 1):
            result = self.kit.collect_garbage(max_unused=share)
            self.assertEqual(0, result.moved_packs)
        self.assert_good()

    def test_when_it_is_no_share_then_it_is_refused(self) -> None:
        for share in (-0.1, 1.1):
            with self.assertRaises(errors.UsageError):
                self.kit.collect_garbage(max_unused=share)

    def test_when_another_moves_packs_then_it_only_deletes(self) -> None:
        repository_id = self.row.repository_id
        other = self.catalog.register_run(
            catalog_.RunKind.GC,
            backup_id=str(uuid.uuid4()),
            repository_id=repository_id,
        )
        # As if its process were alive.
        with (
            mock.patch('backupkit.api.aftermath.dead', lambda _: []),
            self.assertLogs('backupkit.api', 'WARNING') as logs,
        ):
            result = self.kit.collect_garbage()
        self.assertEqual(0, result.moved_packs)
        self.assertIn(f'repository {repository_id} is held', logs.output[0])
        self.catalog.finish_run(other.run_id, catalog_.RunState.DONE)
        self.assertLess(0, self.kit.collect_garbage().moved_packs)
        self.assert_good()

    def test_when_it_moves_then_its_owner_is_live_but_none_waits(
        self,
    ) -> None:
        seen: list[tuple[set[str], set[str], Any]] = []
        collect = repository_target.RepositoryTarget.collect
        catalog = self.catalog

        def look(
            target: Any, coordinator: Any, control: Any, wish: Any
        ) -> Any:
            repository_id = self.row.repository_id
            seen.append(
                (
                    set(catalog.live(repository_id)),
                    set(catalog.live(repository_id, catalog.last_run())),
                    wish,
                )
            )
            return collect(target, coordinator, control, wish)

        self.patch(repository_target.RepositoryTarget, 'collect', look)
        self.kit.collect_garbage()
        ((live, waited, wish),) = seen
        self.assertEqual({wish.owner}, live)
        self.assertEqual(set(), waited)
        self.assertEqual(0.2, wish.max_unused)

    def test_when_it_fails_then_the_next_one_goes_on(self) -> None:
        with (
            self.breaking('collect', errors.TargetError('gone'), after=True),
            self.assertRaises(errors.TargetError),
        ):
            self.kit.collect_garbage()
        self.kit.collect_garbage()
        self.assert_good()


class CommandTestCase(program.ProgramTest):
    def test_when_a_percentage_is_given_then_a_share_is_asked_for(
        self,
    ) -> None:
        self.kit.collect_garbage.return_value = target_.GcResult()
        for text, share in (('5%', 0.05), ('100', 1.0), ('0', 0.0)):
            outcome = self.call('repository', 'gc', '--max-unused', text)
            self.assertEqual(0, outcome.code)
            self.kit.collect_garbage.assert_called_with(
                None, max_unused=share, control=mock.ANY
            )

    def test_when_it_is_no_percentage_then_it_is_refused(self) -> None:
        for text in ('101', '-1%', 'nan', 'much'):
            outcome = self.call('repository', 'gc', f'--max-unused={text}')
            self.assertEqual(2, outcome.code)
            self.assertIn('is not 0% to 100%', outcome.stderr)

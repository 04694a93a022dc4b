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

"""What targets ask the catalog."""

from __future__ import annotations

from backupkit.drivers import target
from backupkit import errors
from tests.unit.catalog import base


class IdentityTest(base.CatalogTestCase):
    def test_when_opened_again_then_the_identity_is_the_same(self) -> None:
        coordinator: target.Coordinator = self.catalog.coordinator()
        first = coordinator.catalog_id

        self.assertEqual(36, len(first))
        self.assertEqual(first, self.open().catalog_id)

    def test_when_a_target_is_remembered_then_the_last_id_counts(
        self,
    ) -> None:
        self.assertIsNone(self.catalog.known_repository('repo'))

        self.catalog.remember_repository('repo', 'r1')
        self.catalog.remember_repository('repo', 'r2')
        self.catalog.remember_repository('Repo', 'r3')

        self.assertEqual('r2', self.catalog.known_repository('repo'))


class BackupsTest(base.CatalogTestCase):
    def _with_status(self, status: str, **fields: object) -> str:
        run = self.begin(**fields)
        self.put_status(run.backup_id, status)
        return str(run.backup_id)

    def test_when_a_manifest_is_there_then_the_backup_is_committed(
        self,
    ) -> None:
        ids = {
            status: self._with_status(status)
            for status in (
                'creating',
                'committing',
                'available',
                'damaged',
                'error',
                'deleting',
                'deleted',
            )
        }
        self._with_status('available', repository_id='other')

        self.assertEqual(
            {ids['available'], ids['damaged']},
            set(self.catalog.committed(base.REPOSITORY)),
        )
        self.assertEqual(
            set(ids.values()), set(self.catalog.known(base.REPOSITORY))
        )

    def test_when_a_volume_has_backups_then_the_last_good_is_latest(
        self,
    ) -> None:
        made = []
        for sequence in (3, 1, 2, 9, 9):
            run = self.begin(volume_id='v')
            self.commit(run, sequence=sequence)
            made.append(str(run.backup_id))
        self.put_status(made[4], 'damaged')
        other = self.begin(volume_id='V')
        self.commit(other, sequence=99)

        latest = self.catalog.latest(base.REPOSITORY, 'local', 'v')

        self.assertEqual(made[3], latest)
        self.put_status(made[3], 'deleting')
        latest = self.catalog.latest(base.REPOSITORY, 'local', 'v')
        self.assertEqual(made[0], latest)

    def test_when_sequences_are_equal_then_the_last_run_counts(self) -> None:
        ids = []
        for _ in range(3):
            run = self.begin(volume_id='v')
            self.commit(run, sequence=0)
            ids.append(str(run.backup_id))

        latest = self.catalog.latest(base.REPOSITORY, 'local', 'v')

        self.assertEqual(ids[-1], latest)

    def test_when_there_is_none_then_there_is_no_latest(self) -> None:
        self.assertIsNone(self.catalog.latest(base.REPOSITORY, 'local', 'v'))

    def test_when_forgotten_then_only_what_is_gone_is_dropped(self) -> None:
        gone = []
        for status in ('error', 'deleted'):
            run = self.begin()
            self.catalog.finish_run(run.run_id, 'failed')
            self.put_status(run.backup_id, status)
            gone.append(str(run.backup_id))
        kept = []
        for status in ('creating', 'committing', 'available', 'damaged'):
            run = self.begin()
            self.catalog.finish_run(run.run_id, 'failed')
            self.put_status(run.backup_id, status)
            kept.append(str(run.backup_id))
        # Its run has not finished: it could still put something.
        kept.append(self._with_status('error'))
        self.register('gc', backup_id=None)

        self.catalog.forget(base.REPOSITORY, [*gone, *kept, 'never known'])

        self.assertEqual(set(kept), set(self.catalog.known(base.REPOSITORY)))

    def test_when_another_repository_forgets_then_nothing_is_dropped(
        self,
    ) -> None:
        run = self.begin()
        self.catalog.finish_run(run.run_id, 'failed')

        self.catalog.forget('other', [str(run.backup_id)])

        self.assertEqual(
            {run.backup_id}, set(self.catalog.known(base.REPOSITORY))
        )


class LiveTest(base.CatalogTestCase):
    def test_when_runs_read_packs_then_they_are_live(self) -> None:
        expected = {
            str(self.register(kind).backup_id)
            for kind in ('backup', 'restore', 'verify')
        }
        expected.add(self.register('check', backup_id=None).run_id)
        self.register('gc', backup_id=None)
        self.register('delete')

        self.assertEqual(expected, set(self.catalog.live(base.REPOSITORY)))

    def test_when_a_run_is_not_finished_then_it_is_live(self) -> None:
        expected = set()
        for state in ('running', 'committing', 'suspended', 'aborted'):
            run = self.register()
            self.put_state(run, state)
            expected.add(run.backup_id)
        for state in ('done', 'failed'):
            self.put_state(self.register(), state)

        self.assertEqual(expected, set(self.catalog.live(base.REPOSITORY)))

    def test_when_an_abort_is_finished_then_the_run_is_not_live(self) -> None:
        run = self.register()
        self.catalog.begin_commit(run.run_id)
        self.catalog.abort_run(run.run_id)
        self.assertEqual(
            {run.backup_id}, set(self.catalog.live(base.REPOSITORY))
        )

        self.catalog.finish_run(run.run_id, 'aborted')

        self.assertEqual(set(), set(self.catalog.live(base.REPOSITORY)))

    def test_when_a_number_is_given_then_later_runs_do_not_count(
        self,
    ) -> None:
        first, second, third = (self.register() for _ in range(3))

        live = self.catalog.live(base.REPOSITORY, upto=second.number)

        self.assertEqual({first.backup_id, second.backup_id}, set(live))
        self.assertNotIn(third.backup_id, live)

    def test_when_a_repository_is_not_known_yet_then_the_run_counts(
        self,
    ) -> None:
        run = self.register(repository_id='')
        self.register(repository_id='other')

        self.assertEqual(
            {run.backup_id}, set(self.catalog.live(base.REPOSITORY))
        )


class CondemnedTest(base.CatalogTestCase):
    def test_when_condemned_then_the_list_says_so_once(self) -> None:
        self.catalog.condemn(base.REPOSITORY, iter(['p1', 'p2', 'p1']))
        self.catalog.condemn(base.REPOSITORY, ['p2', 'p3'])
        self.catalog.condemn('other', ['p9'])

        self.assertEqual(
            {'p1': None, 'p2': None, 'p3': None},
            self.catalog.condemned(base.REPOSITORY),
        )

    def test_when_a_barrier_is_set_then_only_new_packs_get_it(self) -> None:
        first = self.register()
        self.catalog.condemn(base.REPOSITORY, ['p1'])
        self.catalog.set_barrier(base.REPOSITORY, self.catalog.last_run())
        second = self.register()
        self.catalog.condemn(base.REPOSITORY, ['p1', 'p2'])
        self.catalog.condemn('other', ['p3'])

        self.catalog.set_barrier(base.REPOSITORY, self.catalog.last_run())

        self.assertEqual(
            {'p1': first.number, 'p2': second.number},
            self.catalog.condemned(base.REPOSITORY),
        )
        self.assertEqual({'p3': None}, self.catalog.condemned('other'))

    def test_when_two_collections_cross_then_no_barrier_is_too_low(
        self,
    ) -> None:
        self.catalog.condemn(base.REPOSITORY, ['p1'])
        read_by_the_first = self.catalog.last_run()
        run = self.register()
        self.assertNotIn('p2', self.catalog.condemned(base.REPOSITORY))
        self.catalog.condemn(base.REPOSITORY, ['p2'])

        self.catalog.set_barrier(base.REPOSITORY, read_by_the_first)

        barrier = self.catalog.condemned(base.REPOSITORY)['p2']
        assert barrier is not None
        self.assertGreaterEqual(barrier, run.number)

    def test_when_absolved_then_they_are_off_the_list(self) -> None:
        self.catalog.condemn(base.REPOSITORY, ['p1', 'p2', 'p3'])

        self.catalog.absolve(base.REPOSITORY, iter(['p1', 'p3', 'p4']))

        self.assertEqual({'p2': None}, self.catalog.condemned(base.REPOSITORY))

    def test_when_there_are_very_many_packs_then_all_are_listed(
        self,
    ) -> None:
        packs = [f'pack-{number}' for number in range(5000)]

        self.catalog.condemn(base.REPOSITORY, packs)
        self.assertEqual(
            set(packs), set(self.catalog.condemned(base.REPOSITORY))
        )
        self.catalog.absolve(base.REPOSITORY, packs[:-1])

        self.assertEqual(
            [packs[-1]], list(self.catalog.condemned(base.REPOSITORY))
        )

    def test_when_one_name_does_not_fit_then_none_is_condemned(self) -> None:
        packs = [f'pack-{number}' for number in range(1000)]

        with self.assertRaises(errors.UsageError):
            self.catalog.condemn(base.REPOSITORY, [*packs, 'x' * 256])

        self.assertEqual({}, self.catalog.condemned(base.REPOSITORY))

    def test_when_no_run_was_registered_then_the_last_is_none(self) -> None:
        self.assertEqual(0, self.catalog.last_run())

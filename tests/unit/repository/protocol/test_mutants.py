# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Each rule of the protocol is needed: without it a promise is broken."""

from __future__ import annotations

import pathlib
import unittest

import hypothesis
from hypothesis import stateful

from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import scenes
from tests.unit.repository.protocol import search
from tests.unit.repository.protocol import test_protocol
from tests.unit.repository.protocol import values

#: The shortest schedule that shows each mutant; the contributor's guide
#: prints these files.
TRACES = pathlib.Path(__file__).parent / 'traces'

M = mutants.Mutant

#: Mutants that need only a few actors in the right moment, so that chance
#: finds them, and whether the store must be racy for it.
SIMPLE = {
    M.NO_STAT: False,
    M.UNCOMMITTED: False,
    M.INDEX_SHARED: False,
    M.RACY_ABORT: True,
}
SETTINGS = hypothesis.settings(
    test_protocol.SETTINGS,
    max_examples=3000,
    derandomize=True,
    print_blob=False,
    phases=[hypothesis.Phase.generate],
    report_multiple_bugs=False,
)


class MutantTest(unittest.TestCase):
    """Every mutant is found, and only because of its broken rule."""

    maxDiff = None

    def assert_found(self, mutant: mutants.Mutant) -> None:
        """Search the mutant's scene with its rule broken, then kept."""
        scene = scenes.SCENES[mutant]
        # Only what is left at the very end shows that gc forgot something.
        losses = mutant is M.LATE_LEFT
        found = search.Search(scene, mutant, losses=losses).run(scene.switches)
        if found is None:
            self.fail(f'nothing shows: {mutant.value}')
        trace = TRACES / f'{mutant.name.lower()}.txt'
        self.assertEqual(trace.read_text(), found.describe())
        self.assertIsNone(search.Search(scene).run(scene.switches))

    def test_when_list_is_read_before_registering_then_data_is_lost(
        self,
    ) -> None:
        self.assert_found(M.LIST_BEFORE_REGISTERING)

    def test_when_packs_are_reused_without_stat_then_data_is_lost(
        self,
    ) -> None:
        self.assert_found(M.NO_STAT)

    def test_when_uncommitted_packs_are_reused_then_data_is_lost(
        self,
    ) -> None:
        self.assert_found(M.UNCOMMITTED)

    def test_when_abort_puts_no_tombstone_then_an_aborted_run_commits(
        self,
    ) -> None:
        self.assert_found(M.NO_TOMBSTONE)

    def test_when_list_is_emptied_before_the_sweep_then_data_is_lost(
        self,
    ) -> None:
        self.assert_found(M.LIST_EMPTIED_FIRST)

    def test_when_a_reached_pack_leaves_the_list_then_data_is_lost(
        self,
    ) -> None:
        self.assert_found(M.REACHED_UNLISTED)

    def test_when_gc_does_not_wait_then_data_is_lost(self) -> None:
        self.assert_found(M.NO_WAIT)

    def test_when_barrier_is_read_too_early_then_data_is_lost(self) -> None:
        self.assert_found(M.BARRIER_FIRST)

    def test_when_gc_does_not_wait_for_a_tombstone_then_data_is_lost(
        self,
    ) -> None:
        self.assert_found(M.ABORTING_NOT_LIVE)

    def test_when_abort_does_not_ask_again_then_data_is_lost(self) -> None:
        self.assert_found(M.ABORT_UNCHECKED)

    def test_when_tombstone_goes_too_early_then_an_aborted_run_commits(
        self,
    ) -> None:
        self.assert_found(M.TOMBSTONE_SWEPT)

    def test_when_commit_is_aborted_on_a_racy_store_then_both_are_put(
        self,
    ) -> None:
        self.assert_found(M.RACY_ABORT)

    def test_when_resumed_commit_differs_then_both_are_put(self) -> None:
        self.assert_found(M.REWRITTEN)

    def test_when_attempts_share_an_index_then_data_is_lost(self) -> None:
        self.assert_found(M.INDEX_SHARED)

    def test_when_index_is_not_looked_at_then_data_is_lost(self) -> None:
        self.assert_found(M.INDEX_UNCHECKED)

    def test_when_revert_forgets_its_put_then_an_aborted_run_commits(
        self,
    ) -> None:
        self.assert_found(M.PUT_FORGOTTEN)

    def test_when_a_refused_delete_does_not_ask_then_a_backup_is_lost(
        self,
    ) -> None:
        self.assert_found(M.SPARED_BLINDLY)

    def test_when_a_delete_begun_before_is_spared_then_a_backup_is_lost(
        self,
    ) -> None:
        self.assert_found(M.SPARED_AGAIN)

    def test_when_earlier_packs_are_not_looked_at_then_data_is_lost(
        self,
    ) -> None:
        self.assert_found(M.EARLIER_UNCHECKED)

    def test_when_an_overtaken_writer_commits_then_an_aborted_run_does(
        self,
    ) -> None:
        self.assert_found(M.OVERTAKEN_COMMITS)

    def test_when_chunks_move_too_early_then_data_is_lost(self) -> None:
        self.assert_found(M.MOVED_EARLY)

    def test_when_a_mover_does_not_look_again_then_data_is_lost(
        self,
    ) -> None:
        self.assert_found(M.MOVED_UNCHECKED)

    def test_when_gc_leaves_a_late_manifest_then_it_stays_for_ever(
        self,
    ) -> None:
        self.assert_found(M.LATE_LEFT)


class BlindnessTest(unittest.TestCase):
    """The machine of random actors is not blind either."""

    def test_when_a_simple_rule_is_broken_then_chance_finds_it(self) -> None:
        for mutant, racy in SIMPLE.items():
            with self.subTest(mutant.value):
                machine = type(
                    'Machine',
                    (test_protocol.ProtocolMachine,),
                    {'mutant': mutant, 'racy': racy},
                )
                with self.assertRaises(values.Violation):
                    stateful.run_state_machine_as_test(
                        machine, settings=SETTINGS
                    )

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


"""The graphs: which tasks there are, what they require and provide."""

from __future__ import annotations

import unittest

from backupkit.flows import backup
from backupkit.flows import copy_backup
from backupkit.flows import delete
from backupkit.flows import diagram
from backupkit.flows import restore
from backupkit.flows import verify

#: What every task requires and provides, whatever flow it is in.
VALUES: dict[str, tuple[set[str], set[str]]] = {
    'snapshot': ({'run_id', 'backup_id', 'volume_id'}, {'snapshot'}),
    'attach': ({'run_id', 'backup_id', 'volume_id'}, {'attachment'}),
    'fingerprint': ({'attachment'}, {'fingerprint'}),
    'copy': ({'run_id', 'backup_id', 'request', 'attachment'}, {'prepared'}),
    'compare': (
        {'volume_id', 'attachment', 'fingerprint', 'prepared', 'force'},
        {'consistent'},
    ),
    'detach': ({'run_id', 'backup_id', 'attachment'}, set()),
    'delete-snapshot': ({'run_id', 'snapshot'}, set()),
    'keep-checkpoint': ({'run_id', 'backup_id', 'volume_id'}, {'checkpoint'}),
    'settle-checkpoint': (
        {'run_id', 'backup_id', 'volume_id', 'checkpoint', 'summary'},
        set(),
    ),
    'create-volume': (
        {'run_id', 'volume_id', 'size_bytes', 'properties'},
        set(),
    ),
    'write': (
        {'run_id', 'backup_id', 'attachment', 'size_bytes'},
        {'summary'},
    ),
    'verify': ({'backup_id', 'full', 'share'}, {'report'}),
    'delete': ({'backup_id'}, set()),
}


class GraphTestCase(unittest.TestCase):
    def assert_flow(
        self, steps: tuple[diagram.StepPlan, ...], *names: str
    ) -> None:
        self.assertEqual(names, tuple(step.task for step in steps))
        for step in steps:
            if step.task in VALUES:
                requires, provides = VALUES[step.task]
                self.assertEqual(requires, set(step.requires), step.task)
                self.assertEqual(provides, set(step.provides), step.task)

    def assert_provided(
        self, steps: tuple[diagram.StepPlan, ...], *given: str
    ) -> None:
        """Assert that every value is given or provided by a step before."""
        known = set(given)
        for step in steps:
            self.assertLessEqual(set(step.requires), known, step.task)
            known.update(step.provides)

    def test_with_a_snapshot_then_it_is_made_and_removed(self) -> None:
        steps = diagram.plan(
            backup.flow, backend='b', target='t', snapshot=True, compare=False
        )
        self.assert_flow(
            steps,
            'snapshot',
            'attach',
            'copy',
            'detach',
            'delete-snapshot',
            'record',
        )
        self.assertEqual({'run_id', 'prepared'}, set(steps[-1].requires))
        self.assertEqual({'summary'}, set(steps[-1].provides))
        self.assert_provided(
            steps, 'run_id', 'backup_id', 'volume_id', 'request'
        )

    def test_without_a_snapshot_then_the_volume_is_compared(self) -> None:
        steps = diagram.plan(
            backup.flow, backend='b', target='t', snapshot=False, compare=True
        )
        self.assert_flow(
            steps,
            'attach',
            'fingerprint',
            'copy',
            'compare',
            'detach',
            'record',
        )
        self.assert_provided(
            steps, 'run_id', 'backup_id', 'volume_id', 'request', 'force'
        )

    def test_with_a_checkpoint_then_it_takes_the_snapshots_place(self) -> None:
        steps = diagram.plan(
            backup.flow,
            backend='b',
            target='t',
            snapshot=True,
            compare=False,
            checkpoint=True,
        )
        self.assert_flow(
            steps,
            'snapshot',
            'attach',
            'copy',
            'detach',
            'keep-checkpoint',
            'record',
            'settle-checkpoint',
        )
        self.assert_provided(
            steps, 'run_id', 'backup_id', 'volume_id', 'request'
        )

    def test_with_a_checkpoint_alone_then_it_comes_first(self) -> None:
        steps = diagram.plan(
            backup.flow,
            backend='b',
            target='t',
            snapshot=False,
            compare=True,
            checkpoint=True,
        )
        self.assert_flow(
            steps,
            'keep-checkpoint',
            'attach',
            'fingerprint',
            'copy',
            'compare',
            'detach',
            'record',
            'settle-checkpoint',
        )

    def test_when_nothing_can_tell_then_it_is_only_copied(self) -> None:
        steps = diagram.plan(
            backup.flow, backend='b', target='t', snapshot=False, compare=False
        )
        self.assert_flow(steps, 'attach', 'copy', 'detach', 'record')

    def test_when_restoring_to_a_new_volume_then_it_is_created(self) -> None:
        steps = diagram.plan(
            restore.flow, backend='b', target='t', new=True, reads_zero=True
        )
        self.assert_flow(
            steps,
            'create-volume',
            'attach',
            'begin',
            'write',
            'detach',
            'record',
        )
        self.assert_provided(
            steps,
            'run_id',
            'backup_id',
            'volume_id',
            'size_bytes',
            'properties',
        )

    def test_when_restoring_over_a_volume_then_none_is_created(self) -> None:
        steps = diagram.plan(
            restore.flow, backend='b', target='t', new=False, reads_zero=False
        )
        self.assert_flow(steps, 'attach', 'begin', 'write', 'detach', 'record')

    def test_when_copying_then_no_volume_is_asked_for(self) -> None:
        steps = diagram.plan(copy_backup.flow, source='s', target='t')
        self.assertEqual(
            [
                ('copy', {'run_id', 'backup_id', 'request', 'source_id'}),
                ('record', {'run_id', 'prepared'}),
            ],
            [(step.task, set(step.requires)) for step in steps],
        )
        self.assertEqual([True, False], [step.undone for step in steps])

    def test_when_verifying_then_the_report_is_recorded(self) -> None:
        steps = diagram.plan(verify.flow, target='t')
        self.assert_flow(steps, 'verify', 'record')
        self.assertIn('report', steps[-1].requires)

    def test_when_deleting_then_that_is_recorded_on_both_sides(self) -> None:
        steps = diagram.plan(delete.flow, target='t')
        self.assert_flow(steps, 'begin', 'delete', 'record')


class DiagramTestCase(unittest.TestCase):
    steps = (
        diagram.StepPlan('first', ('given',), ('made',), undone=True),
        diagram.StepPlan('second', ('made', 'given'), ()),
    )

    def test_when_drawn_as_text_then_a_line_tells_each_step(self) -> None:
        self.assertEqual(
            '1. first   given -> made\n2. second  made, given',
            diagram.as_text(self.steps),
        )

    def test_when_drawn_as_dot_then_values_and_order_are_edges(self) -> None:
        drawn = diagram.as_dot('two', self.steps)
        self.assertIn('digraph "two" {', drawn)
        self.assertIn('"first" -> "second"\n', drawn)
        self.assertIn(
            '"first" -> "second" [style = dotted, label = "made"]', drawn
        )

    def test_when_drawn_as_a_picture_then_each_step_is_a_box(self) -> None:
        self.assertEqual(
            '+--------+\n'
            '| first  | <-- given\n'
            '+--------+ --> made  (undone by revert)\n'
            '     |\n'
            '+--------+\n'
            '| second | <-- given, made\n'
            '+--------+',
            diagram.as_picture(self.steps),
        )

    def test_when_a_task_has_a_revert_then_it_is_undone(self) -> None:
        steps = diagram.plan(
            restore.flow, backend='b', target='t', new=True, reads_zero=True
        )
        self.assertEqual(
            ['create-volume', 'attach'],
            [step.task for step in steps if step.undone],
        )

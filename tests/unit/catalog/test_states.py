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

"""The tables of moves, and that the catalog goes by them."""

from __future__ import annotations

import itertools

from backupkit.catalog import states
from backupkit import errors
from backupkit import model
from tests.unit.catalog import base

# From each state (a row) to each (a column), in this order. These tables
# stand here once more on purpose: a move is never added by accident.
_RUN_MOVES = {
    'running': 'yyyyyy',
    'committing': '-yy--y',
    'suspended': '--y--y',
    'done': '---y--',
    'failed': '----y-',
    'aborted': '-----y',
}
_BACKUP_MOVES = {
    'creating': 'yyy-y--',
    'committing': '-yy-y--',
    'available': '--yy-y-',
    'damaged': '--yy-y-',
    'error': '--y-yy-',
    'deleting': '--yyyyy',
    'deleted': '------y',
}
_RUN_ORDER = list(_RUN_MOVES)
_BACKUP_ORDER = list(_BACKUP_MOVES)

# What becomes of a run in each state, by each method: its new state, or the
# error, R for RunAborted and C for Conflict.
_METHODS = {
    'begin_commit': 'committing committing R R R R',
    'suspend_run': 'suspended suspended suspended C C R',
    'abort_run': 'aborted aborted aborted C C aborted',
    'finish_run(done)': 'done C C done failed aborted',
    'finish_run(failed)': 'failed C C done failed aborted',
    'finish_run(aborted)': 'aborted C C done failed aborted',
    'finish_backup': 'C done done done done done',
}


class TablesTest(base.CatalogTestCase):
    def test_when_a_run_moves_then_only_as_the_table_says(self) -> None:
        self.assertEqual(_RUN_ORDER, list(states.RunState))
        for old, new in itertools.product(_RUN_ORDER, repeat=2):
            with self.subTest(old=old, new=new):
                allowed = _RUN_MOVES[old][_RUN_ORDER.index(new)] == 'y'
                self.assertEqual(allowed, self._run_moves(old, new))

    def _run_moves(self, old: str, new: str) -> bool:
        try:
            states.check_run('r', states.RunState(old), states.RunState(new))
        except (errors.Conflict, errors.RunAborted):
            return False
        return True

    def test_when_a_backup_moves_then_only_as_the_table_says(self) -> None:
        self.assertEqual(_BACKUP_ORDER, list(model.BackupStatus))
        run = self.begin()
        assert run.backup_id is not None
        for old, new in itertools.product(_BACKUP_ORDER, repeat=2):
            with self.subTest(old=old, new=new):
                self.put_status(run.backup_id, old)
                allowed = _BACKUP_MOVES[old][_BACKUP_ORDER.index(new)] == 'y'
                self.assertEqual(
                    allowed, self._backup_moves(run.backup_id, new)
                )
                now = self.catalog.backup(run.backup_id).status
                self.assertEqual(new if allowed else old, now)

    def _backup_moves(self, backup_id: str, new: str) -> bool:
        try:
            self.catalog.update_backup(backup_id, status=new)
        except errors.Conflict:
            return False
        return True

    def test_when_a_method_moves_a_run_then_as_its_table_says(self) -> None:
        self.assertEqual(set(_RUN_ORDER), set(states.RUN_MOVES))
        for method, outcomes in _METHODS.items():
            for old, outcome in zip(_RUN_ORDER, outcomes.split(), strict=True):
                with self.subTest(method=method, old=old):
                    self.assertEqual(outcome, self._apply(method, old))

    def _apply(self, method: str, old: str) -> str:
        run = self.begin()
        self.put_state(run, old)
        name, _, argument = method.removesuffix(')').partition('(')
        arguments: list[object] = [argument] if argument else []
        if name == 'finish_backup':
            arguments = [base.summarized(run)]
        try:
            getattr(self.catalog, name)(run.run_id, *arguments)
        except (errors.RunAborted, errors.Conflict) as error:
            self.assertEqual(old, self.catalog.run(run.run_id).state)
            return type(error).__name__[0]
        return str(self.catalog.run(run.run_id).state)

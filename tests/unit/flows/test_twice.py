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

"""Every step, done or undone twice in a row, is as if it was so once.

A step that was killed when its deed was done is begun anew, with the same
arguments. So here each of them is called twice, at every step of every
flow. That a process goes on at each of them: see
:mod:`tests.unit.flows.test_resume`.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import functools
from typing import Any
from unittest import mock

from backupkit import errors
from backupkit.flows.tasks import checkpoint
from backupkit.flows.tasks import copying
from backupkit.flows.tasks import destination
from backupkit.flows.tasks import source
from backupkit.flows.tasks import step
from backupkit.flows.tasks import upkeep
from backupkit import model
from tests.unit.flows import base
from tests.unit.flows import test_revert


#: So that the steps in them are known.
MODULES = (checkpoint, copying, destination, source, upkeep)


def _steps(cls: type[step.Step] = step.Step) -> Iterator[type[step.Step]]:
    for derived in cls.__subclasses__():
        yield derived
        yield from _steps(derived)


class TwiceTestCase(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()
        self.good = self.kit.create_backup('local:v')
        self.write(b'changed' * 20_000)

    @contextlib.contextmanager
    def twice(self, method: str) -> Iterator[dict[str, int]]:
        """Call a method of every step twice, and count the calls."""
        called: dict[str, int] = {}

        def doubled(cls: type[step.Step]) -> Any:
            call = cls.__dict__[method]

            @functools.wraps(call)
            def both(task: step.Step, *args: Any, **kwargs: Any) -> Any:
                called[task.name] = called.get(task.name, 0) + 2
                call(task, *args, **kwargs)
                return call(task, *args, **kwargs)

            return both

        with contextlib.ExitStack() as patches:
            for cls in _steps():
                if method in cls.__dict__:
                    patches.enter_context(
                        mock.patch.object(cls, method, doubled(cls))
                    )
            yield called

    def assert_twice(
        self, called: dict[str, int], names: tuple[str, ...]
    ) -> None:
        self.assertLessEqual(set(names), set(called))
        self.assertEqual({2}, set(called.values()))

    def assert_backed_up(self, row: Any) -> None:
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assert_nothing_left()
        self.kit.restore_backup(row.backup_id, new='local:check')
        self.assertEqual(self.read('v'), self.read('check'))
        self.assertTrue(self.kit.check_repository().good)

    def test_when_done_twice_then_a_backup_is_good(self) -> None:
        with self.twice('execute') as called:
            row = self.kit.create_backup('local:v')
        self.assert_twice(called, ('snapshot', 'attach', 'copy', 'record'))
        self.assert_backed_up(row)

    def test_when_done_twice_without_snapshot_then_likewise(self) -> None:
        self.without('snapshots')
        with self.twice('execute') as called:
            row = self.kit.create_backup('local:v')
        self.assert_twice(called, ('fingerprint', 'compare', 'record'))
        self.assert_backed_up(row)

    def test_when_done_twice_then_a_restore_is_good(self) -> None:
        row = self.kit.create_backup('local:v')
        for where in (
            {'new': 'local:w'},
            {'to': 'local:w', 'overwrite': True},
        ):
            with self.subTest(where=where), self.twice('execute') as called:
                self.kit.restore_backup(row.backup_id, **where)
                self.assert_twice(called, test_revert.RESTORE[1:])
                self.assertEqual(self.read('v'), self.read('w'))
                self.assertEqual([], self.catalog.destinations())
                self.assert_nothing_left()

    def test_when_done_twice_then_verify_and_delete_are_done(self) -> None:
        with self.twice('execute') as called:
            report = self.kit.verify_backup(self.good.backup_id, full=True)
        self.assertTrue(report.good)
        self.assert_twice(called, ('verify', 'record'))
        with self.twice('execute') as called:
            row = self.kit.delete_backup(self.good.backup_id)
        self.assertEqual(model.BackupStatus.DELETED, row.status)
        self.assert_twice(called, ('begin', 'delete', 'record'))
        self.assert_nothing_left()

    def test_when_undone_twice_then_nothing_is_left(self) -> None:
        packs = sorted(self.packs())
        for name in test_revert.WITH_CHECKPOINT:
            with (
                self.subTest(step=name),
                self.twice('revert') as called,
                self.stopping_at(name, base.FAULT),
                self.assertRaises(errors.SourceError),
            ):
                self.kit.create_backup('local:v')
            self.assertEqual({2}, set(called.values()))
            self.assert_nothing_left()
            self.assertEqual(packs, sorted(self.packs()))

    def test_when_a_restore_is_undone_twice_then_it_is_gone(self) -> None:
        for name in test_revert.RESTORE:
            with (
                self.subTest(step=name),
                self.twice('revert') as called,
                self.stopping_at(name, base.FAULT),
                self.assertRaises(errors.SourceError),
            ):
                self.kit.restore_backup(self.good.backup_id, new='local:w')
            self.assertEqual({2}, set(called.values()))
            self.assertEqual(['v'], list(self.array.volumes))
            self.assert_nothing_left()

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


"""The conformance suites, run by an operator against a configured target.

They work below a prefix of their own, next to the backups that are there,
and remove all that they have put. What they do not do is to let the store
fail: that tests what is common to all targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import types
import unittest
import uuid

from backupkit.copy import control as control_
from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit.repository import target as repository_target
from backupkit.testing.memory import array
from backupkit.testing import roundtrip
from backupkit.testing import scratch as scratch_
from backupkit.testing import sections
from backupkit.testing import store
from backupkit.testing.target import committing
from backupkit.testing.target import describing
from backupkit.testing.target import keeping
from backupkit.testing.target import stopping
from backupkit.testing.target import transferring

#: Test, outcome (``ok``, ``failed`` or ``skipped``) and what there is to say.
Outcome = tuple[str, str, str]

MakeTarget = Callable[[], repository_target.RepositoryTarget]

#: Everything is put below it, one part for each validation.
PREFIX = 'validate'


def validate_target(
    target: target_.Target, control: control_.Control | None = None
) -> list[Outcome]:
    """Run the suites against a target, next to what it keeps.

    :raises errors.Cancelled: the operator stopped it; all was removed
    :raises errors.TargetError: the target cannot be written to at all
    """
    if not isinstance(target, repository_target.RepositoryTarget):
        why = f'target {target.name} has no store: its driver tests itself'
        return [('all', 'skipped', why)]
    control = control or control_.Control()
    place = f'{PREFIX}/{uuid.uuid4().hex[:12]}/'
    with target.opened(control) as opened:
        # A target that cannot be written to is one error, not a hundred.
        opened.put(f'{place}probe', [b'probe'])
        opened.delete(f'{place}probe')
    tests = list(_tests())
    control.start('validate', len(tests))
    outcomes = []
    for number, (kind, test) in enumerate(tests):
        control.check()
        scratch = scratch_.Scratch(f'{place}{number}/')
        outcomes.append(_run(kind, test, target, scratch, control))
        control.advance(1)
    control.check()
    return outcomes


def _run(
    kind: str,
    test: _Test,
    target: repository_target.RepositoryTarget,
    scratch: scratch_.Scratch,
    control: control_.Control,
) -> Outcome:
    test.make_scratch = lambda: scratch_.scratch_target(
        target, scratch, control.check
    )
    result = _Result()
    try:
        test.run(result)
    finally:
        # Also where the run is stopped: then without a check.
        with target.opened() as opened:
            scratch.remove(opened)
    return f'{kind}: {test.id().rpartition(".")[2]}', *result.outcome


class _Test(unittest.TestCase):
    """A test that is told which target to work on."""

    make_scratch: MakeTarget


class _StoreTest(store.StoreSuite, _Test):
    """The suite of a store, on the target's store."""

    # What is left behind the prefix.
    name_limit = store_.NAME_LIMIT - 2 * len(f'{PREFIX}/0123456789ab/')

    def make_store(self) -> store_.Store:
        target = self.make_scratch()
        return target.store_wrapper(target.open())


class _TargetTest(
    describing.DescribeTests,
    keeping.KeepTests,
    committing.CommitTests,
    stopping.StopTests,
    transferring.TransferTests,
    _Test,
):
    """The suite of a target, but for the store that fails."""

    def make_target(self) -> target_.Target:
        return self.make_scratch()


class _RoundTripTest(roundtrip.RoundTripSuite, _Test):
    """The round trip from volumes in memory."""

    def make_driver(self) -> volume_.VolumeDriver:
        self.addCleanup(array.discard, self.id())
        return sections.load_volume_driver('memory', array=self.id())

    def make_target(self) -> target_.Target:
        return self.make_scratch()


def _tests() -> Iterator[tuple[str, _Test]]:
    kinds: dict[str, type[_Test]] = {
        'store': _StoreTest,
        'target': _TargetTest,
        'round trip': _RoundTripTest,
    }
    for kind, made in kinds.items():
        for name in unittest.defaultTestLoader.getTestCaseNames(made):
            yield kind, made(name)


_Raised = (
    tuple[type[BaseException], BaseException, types.TracebackType]
    | tuple[None, None, None]
)


class _Result(unittest.TestResult):
    """Keeps what a person wants to know of one test."""

    def __init__(self) -> None:
        super().__init__()
        self.outcome: tuple[str, str] = ('ok', '')

    def addError(self, test: unittest.TestCase, err: _Raised) -> None:
        self._fail(err)

    def addFailure(self, test: unittest.TestCase, err: _Raised) -> None:
        self._fail(err)

    def addSubTest(
        self,
        test: unittest.TestCase,
        subtest: unittest.TestCase,
        err: _Raised | None,
    ) -> None:
        if err:
            self._fail(err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.outcome = ('skipped', reason)

    def _fail(self, err: _Raised) -> None:
        kind, error, _ = err
        name = kind.__name__ if kind else 'error'
        first = str(error).partition('\n')[0]
        self.outcome = ('failed', f'{name}: {first}')

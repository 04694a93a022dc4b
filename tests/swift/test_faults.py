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

"""Every fault, at every kind of request: once, three times and always."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import os
import unittest

from backupkit.drivers import store as store_
from backupkit import errors
from tests.swift import cloud
from tests.swift import stand
from tests.swift import weather as weather_

Fault = weather_.Fault
Verb = weather_.Verb

DATA = os.urandom(100_000)
NAMES = ['old/one', 'old/two']
#: Enough for three failures, with the pauses between them.
PATIENT = 30.0
HASTY = 0.3
THREADS = 8

#: What no further try would mend is told at once.
_HOPELESS = {Fault.TOO_LARGE, Fault.MOVED}
#: An object that two answers in a row say is not there is not there.
_BELIEVED = {(Fault.MISSING, Verb.HEAD)}
#: A container that is not there is made; where that finds no account, there
#: is none.
_MADE = {(Fault.MISSING, Verb.OTHER)}
#: What says of a login that it is wrong, and is told at once.
_REFUSED = _HOPELESS | {Fault.TOKEN, Fault.MISSING, Fault.CROSSED}
_CHECKSUMS = {Verb.PUT, Verb.GET}
#: What had its effect is found done by the next try.
_DONE = {(Fault.SHORT, Verb.PUT), (Fault.SHORT, Verb.DELETE)}
#: Of a container nothing is asked but whether it is there.
_ENOUGH = {(Fault.SHORT, Verb.OTHER)}


class Cell:
    """One fault at one kind of request."""

    def __init__(
        self,
        case: unittest.TestCase,
        fault: Fault,
        verb: Verb,
        weather: weather_.Weather | None = None,
    ) -> None:
        self.case = case
        self.fault = fault
        self.verb = verb
        self.container = stand.container()
        self.weather = weather or stand.weather()
        #: Where the requests go that fail.
        self.place = self.container
        self.hopeless = _HOPELESS

    def open(self, deadline_seconds: float) -> store_.Store:
        target = stand.load(
            container=self.container,
            auth_url=self.weather.auth_url,
            retry_deadline_seconds=deadline_seconds,
            timeout_seconds=1.0 if self.fault is Fault.HANG else 20.0,
        )
        return target.store_wrapper(target.open(), None)

    def run(self) -> None:
        """Meet the fault once, three times and always."""
        with self.open(PATIENT) as calm:
            for times in (1, 3, None):
                for name in NAMES:
                    calm.delete(name)
                    calm.put(name, [DATA])
                calm.delete('new')
                self.meet(calm, times)

    def meet(self, calm: store_.Store, times: int | None) -> None:
        what = f'{self.verb}, {self.fault}, {times or "always"}'
        rule = self.weather.set(
            self.place, self.verb, self.fault, times, {'Retry-After': '0'}
        )
        error: errors.BackupkitError | None = None
        with self.open(PATIENT if times else HASTY) as opened:
            try:
                WORK[self.verb](opened)
            except errors.BackupkitError as exc:
                error = exc
        self.weather.clear(self.place)
        self.case.assertGreater(rule.met, 0, what)
        if self.passes(times):
            self.case.assertIsNone(error, what)
            CHECK[self.verb](self.case, calm)
        else:
            self.case.assertIsInstance(error, errors.TargetError, what)
            self.case.assertEqual(5, error and error.exit_code)
            self.check_kind(error, what)

    def passes(self, times: int | None) -> bool:
        """Tell whether the call is to succeed in spite of the fault."""
        if self.fault in self.hopeless:
            return False
        if self.fault is Fault.ETAG and self.verb not in _CHECKSUMS:
            return True
        if (self.fault, self.verb) in _DONE:
            return True
        if (self.fault, self.verb) in _ENOUGH and self.place:
            return True
        if (self.fault, self.verb) in _BELIEVED or self.made:
            return times == 1
        return times is not None

    @property
    def made(self) -> bool:
        """Whether the fault says that there is no container."""
        return (self.fault, self.verb) in _MADE and bool(self.place)

    def check_kind(
        self, error: errors.BackupkitError | None, what: str
    ) -> None:
        full = {Fault.TOO_LARGE, Fault.NO_SPACE}
        if self.verb is Verb.PUT and self.fault in full:
            self.case.assertIsInstance(error, errors.TargetFull, what)
        elif (self.fault, self.verb) in _BELIEVED:
            self.case.assertIsInstance(error, errors.ObjectNotFound, what)
        elif self.fault not in self.hopeless and not self.made:
            self.case.assertIsInstance(error, errors.TargetUnavailable, what)


def _get(opened: store_.Store) -> None:
    if opened.get('old/one') != DATA:
        raise AssertionError('other bytes than were put')
    if opened.get('old/one', 7, 9000) != DATA[7:9007]:
        raise AssertionError('another range than was asked for')


def _stat(opened: store_.Store) -> None:
    if opened.stat('old/one').size_bytes != len(DATA):
        raise AssertionError('another size than was put')


def _list(opened: store_.Store) -> None:
    if sorted(stat.name for stat in opened.list('old/')) != NAMES:
        raise AssertionError('not what is there')


WORK: dict[Verb, Callable[[store_.Store], None]] = {
    Verb.PUT: lambda opened: opened.put('new', [DATA[:50_000], DATA[50_000:]]),
    Verb.GET: _get,
    Verb.HEAD: _stat,
    Verb.LIST: _list,
    Verb.DELETE: lambda opened: opened.delete('old/one'),
    Verb.BULK: lambda opened: opened.delete_many(['old/one', 'old/none']),
    # The first call of an opened store looks at its container.
    Verb.OTHER: lambda opened: opened.put('new', [DATA]),
}


def _put_is_there(case: unittest.TestCase, calm: store_.Store) -> None:
    case.assertEqual(DATA, calm.get('new'))


def _one_is_gone(case: unittest.TestCase, calm: store_.Store) -> None:
    with case.assertRaises(errors.ObjectNotFound):
        calm.stat('old/one')
    case.assertEqual(len(DATA), calm.stat('old/two').size_bytes)


def _all_is_there(case: unittest.TestCase, calm: store_.Store) -> None:
    for name in NAMES:
        case.assertEqual(DATA, calm.get(name))


CHECK: dict[Verb, Callable[[unittest.TestCase, store_.Store], None]] = {
    Verb.PUT: _put_is_there,
    Verb.GET: _all_is_there,
    Verb.HEAD: _all_is_there,
    Verb.LIST: _all_is_there,
    Verb.DELETE: _one_is_gone,
    Verb.BULK: _one_is_gone,
    Verb.OTHER: _put_is_there,
}


def run_all(cells: list[Cell]) -> None:
    """Run some at a time; most of it is waiting."""
    with futures.ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(cell.run) for cell in cells]:
            future.result()


class FaultsTest(unittest.TestCase):
    def test_call_when_it_meets_a_fault_then_passes_or_tells(self) -> None:
        run_all([Cell(self, fault, verb) for fault in Fault for verb in WORK])

    def test_login_when_it_meets_a_fault_then_passes_or_tells(self) -> None:
        cells = []
        for fault in Fault:
            # What fails is asked of no container, so each has its own.
            weather = weather_.Weather(cloud.cloud().url)
            self.addCleanup(weather.close)
            cell = Cell(self, fault, Verb.OTHER, weather)
            cell.place, cell.hopeless = '', _REFUSED
            cells.append(cell)
        run_all(cells)

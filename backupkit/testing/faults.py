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


"""A store that fails when it is told to, and a loop that tells it.

:func:`until_it_passes` runs an operation again and again: with the first
call to the store failing, with the second, and so on, until it is through
without having met the fault. Each time it is checked what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import enum
import threading
from typing import overload

from backupkit.drivers import store
from backupkit.drivers.wrappers import base
from backupkit import errors


class Fault(enum.Enum):
    """How a call fails."""

    #: The call has no effect, and raises.
    BEFORE = 'before'
    #: The call has its whole effect, and raises.
    AFTER = 'after'
    #: A put breaks off while its parts are read; other calls as BEFORE.
    TORN = 'torn'
    #: A get returns less than asked and raises nothing, against the
    #: contract; other calls do not fail.
    SHORT = 'short'


class Faults:
    """What is to fail, and the count of calls that have been made.

    Shared by all stores that it has wrapped, and by all their threads.

    :param error: class of what is raised
    :param only: names of the methods whose calls count; all where empty
    :param delay: called with method and name before each call
    """

    def __init__(
        self,
        error: type[errors.BackupkitError] = errors.TargetUnavailable,
        *,
        only: Sequence[str] = (),
        delay: Callable[[str, str], None] | None = None,
    ) -> None:
        self._error = error
        self._only = only
        self._delay = delay
        self._lock = threading.Lock()
        self._fail_at: int | None = None
        self._fault = Fault.BEFORE
        self._lasting = False
        self.calls = 0
        self.fired = ''

    def arm(
        self,
        number: int,
        fault: Fault = Fault.BEFORE,
        *,
        lasting: bool = False,
    ) -> None:
        """Let the call of this number fail, counting from 1 anew.

        :param lasting: every call behind it fails too, as with a target that
            stays away
        """
        with self._lock:
            self.calls = 0
            self.fired = ''
            self._fail_at = number
            self._fault = fault
            self._lasting = lasting

    def disarm(self) -> None:
        """Let nothing fail any more."""
        with self._lock:
            self._fail_at = None

    def wrap(self, opened: store.Store, *_: object) -> FaultyStore:
        """Return the store with faults; fit to be a ``store_wrapper``."""
        return FaultyStore(opened, self)

    def next_call(self, method: str, name: str) -> Fault | None:
        """Count a call, and return how it fails or None."""
        if self._delay:
            self._delay(method, name)
        if self._only and method not in self._only:
            return None
        with self._lock:
            self.calls += 1
            if self._fail_at is None or self.calls < self._fail_at:
                return None
            if self.calls > self._fail_at and not self._lasting:
                return None
            self.fired = self.fired or f'{method} {name}'
            return self._fault

    def make_error(self, method: str, name: str) -> errors.BackupkitError:
        """Return the error of a call that fails."""
        return self._error(f'cannot {method} {name}: a fault was injected')


class FaultyStore(base.StoreWrapper):
    """A store whose calls fail as its :class:`Faults` say."""

    def __init__(self, inner: store.Store, faults: Faults) -> None:
        super().__init__(inner)
        self._faults = faults

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Put, or fail before, behind, or in the middle of it."""
        fault = self._before('put', name)
        if fault is Fault.TORN:
            torn = _TornParts(parts, self._faults.make_error('put', name))
            self.inner.put(name, torn)
            raise AssertionError(f'put {name} did not read all its parts')
        self.inner.put(name, parts)
        self._after(fault, 'put', name)

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Get, or fail, or return too little."""
        fault = self._before('get', name)
        data = self.inner.get(name, offset, length)
        self._after(fault, 'get', name)
        return data[:-1] if fault is Fault.SHORT else data

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Get, or fail, or leave the last byte as it was."""
        fault = self._before('get', name)
        if fault is Fault.SHORT:
            buffers = [memoryview(buffer) for buffer in buffers]
            buffers[-1] = buffers[-1][:-1]
        self.inner.get_into(name, offset, buffers)
        self._after(fault, 'get', name)

    def stat(self, name: str) -> store.ObjectStat:
        """Stat, or fail."""
        fault = self._before('stat', name)
        found = self.inner.stat(name)
        self._after(fault, 'stat', name)
        return found

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """List, or fail at the beginning or at the end of it."""
        fault = self._before('list', prefix)
        yield from self.inner.list(prefix)
        self._after(fault, 'list', prefix)

    def delete(self, name: str) -> None:
        """Delete, or fail before or behind it."""
        fault = self._before('delete', name)
        self.inner.delete(name)
        self._after(fault, 'delete', name)

    def delete_many(self, names: Sequence[str]) -> None:
        """Delete one after the other: each of them may fail."""
        for name in names:
            self.delete(name)

    @contextlib.contextmanager
    def make_file(self, name: str) -> Iterator[int]:
        """Make a file, or fail before it, or before or behind its end."""
        self._after(self._before('make', name), 'make', name)
        with self.inner.make_file(name) as fd:
            yield fd
            fault = self._before('finish', name)
        self._after(fault, 'finish', name)

    @contextlib.contextmanager
    def open_file(self, name: str) -> Iterator[int]:
        """Open a file, or fail."""
        self._after(self._before('open', name), 'open', name)
        with self.inner.open_file(name) as fd:
            yield fd

    def sweep(self) -> int:
        """Sweep, or fail before or behind it."""
        fault = self._before('sweep', '')
        removed = self.inner.sweep()
        self._after(fault, 'sweep', '')
        return removed

    def _before(self, method: str, name: str) -> Fault | None:
        fault = self._faults.next_call(method, name)
        if fault is Fault.BEFORE or (fault is Fault.TORN and method != 'put'):
            raise self._faults.make_error(method, name)
        return fault

    def _after(self, fault: Fault | None, method: str, name: str) -> None:
        if fault is Fault.AFTER:
            raise self._faults.make_error(method, name)


class _TornParts(Sequence[store.Buffer]):
    """Parts of which the last ones cannot be read."""

    def __init__(
        self, parts: Sequence[store.Buffer], error: errors.BackupkitError
    ) -> None:
        self._parts = [*parts, b'']
        self._error = error

    def __len__(self) -> int:
        return len(self._parts)

    @overload
    def __getitem__(self, index: int) -> store.Buffer: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[store.Buffer]: ...

    def __getitem__(
        self, index: int | slice
    ) -> store.Buffer | Sequence[store.Buffer]:
        """Return a part, or raise where it lies in the second half."""
        wanted = range(len(self._parts))[index]
        reached = wanted if isinstance(wanted, int) else max(wanted, default=0)
        if reached >= len(self._parts) // 2:
            raise self._error
        return self._parts[index]


def until_it_passes(
    faults: Faults,
    operation: Callable[[], object],
    check: Callable[[errors.BackupkitError | None], None],
    *,
    fault: Fault = Fault.BEFORE,
    lasting: bool = False,
    limit: int = 10_000,
) -> int:
    """Run an operation with each of its calls failing once; return how many.

    The operation begins anew each time: it must find, or make for itself,
    what it works on. It may also succeed in spite of the fault.

    :param check: called after each run, with nothing failing any more, and
        with what the run has raised; it asserts that nothing is lost and
        that nothing is left behind
    :param limit: so many runs mean that the operation never comes through
    """
    for number in range(1, limit):
        faults.arm(number, fault, lasting=lasting)
        raised: errors.BackupkitError | None = None
        try:
            operation()
        except errors.BackupkitError as error:
            raised = error
        fired = faults.fired
        faults.disarm()
        try:
            check(raised)
        except (AssertionError, errors.BackupkitError) as error:
            error.add_note(f'after call {number} had failed: {fired}')
            raise
        if not fired:
            if raised is not None:
                raise raised
            return number - 1
    raise AssertionError(f'no end after {limit} runs')

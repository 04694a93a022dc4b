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


"""Calls into a target that are given up when they do not come back.

The kernel may hold a thread for as long as a file server is away, and
nothing can call it back. So each call runs in a thread that nobody needs:
the caller waits for it, for as long as it was told to, and goes on without
it then. The process can end at any time, and signals are answered.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
import logging
import os
import threading
import time
from typing import Any, Generic, TypeVar

from backupkit.copy import control as control_
from backupkit import errors

LOG = logging.getLogger(__name__)

#: How long a call goes on at most before the caller looks up.
SLICE_SECONDS = 0.25
#: How long a call may go on when the run was asked to stop, and any call
#: while one that was given up has not come back.
SHORT_SECONDS = 5.0

T = TypeVar('T')


class Patience:
    """How long the calls into one target may take.

    May be used by several threads. Where a call is given up its thread
    stays in it: memory that the call was given belongs to it for ever, and
    what it was to do may still be done.

    :param target: its name, for messages
    :param seconds: how long each call may take; None for as long as it
        likes, in the thread of the caller
    """

    def __init__(self, target: str, seconds: float | None) -> None:
        self._target = target
        self._seconds = seconds
        self._lock = threading.Lock()
        #: Calls that were given up and have not come back yet.
        self.given_up = 0

    def call(
        self,
        what: str,
        function: Callable[[], T],
        *,
        check: Callable[[], None] | None = None,
        alive: Callable[[], object] | None = None,
        discard: Callable[[T], object] | None = None,
    ) -> T:
        """Return what a function returns, or raise what it raises.

        :param what: the call and its object, for messages
        :param check: raises where the run is to stop: then the call has
            but a short time left, and that error leaves. By default that
            of the control which this thread heeds; what begins when the
            run is stopped already has its whole time, for it undoes things
        :param alive: a short call that tells, by returning, that a long one
            may go on
        :param discard: gets what is returned when nobody waits any more
        :raises errors.TargetStalled: it did not come back in time
        """
        if self._seconds is None or _in_worker():
            return function()
        check = check or _heeded()
        limit = self._seconds
        if self.given_up:
            limit = min(SHORT_SECONDS, limit)
        task = _Task(function, discard, self._came_back)
        _run(task)
        try:
            if not task.done.acquire(timeout=min(SLICE_SECONDS, limit)):
                self._wait(task, what, limit, check, alive)
        except BaseException:
            # Also a KeyboardInterrupt, which may come at any time.
            self._give_up(task)
            raise
        return task.result()

    def _wait(
        self,
        task: _Task[Any],
        what: str,
        limit: float,
        check: Callable[[], None] | None,
        alive: Callable[[], object] | None,
    ) -> None:
        """Return when a task is done, or raise why that is not waited for."""
        began = now = time.monotonic() - min(SLICE_SECONDS, limit)
        end, warn = began + limit, began + limit / 10
        stop: BaseException | None = None
        while not task.done.acquire(timeout=_slice(end)):
            now = time.monotonic()
            if stop is None and (stop := _stopped(check)):
                end = min(end, now + SHORT_SECONDS)
            if now >= warn:
                warn = end
                self._warn(what, now - began, end - now)
            if now < end:
                continue
            if stop is None and alive and self._answers(what, alive):
                end = time.monotonic() + limit
            elif self._give_up(task):
                raise stop or errors.TargetStalled(
                    f'target {self._target} does not answer: {what} has '
                    f'taken {now - began:.0f} s, and is given up'
                )

    def _answers(self, what: str, alive: Callable[[], object]) -> bool:
        try:
            self.call(f'a sign of life during {what}', alive)
        except errors.TargetStalled:
            return False
        return True

    def _warn(self, what: str, seconds: float, left: float) -> None:
        LOG.warning(
            'target %s has not answered for %.0f s: %s; waiting for %.0f s '
            'more',
            self._target,
            seconds,
            what,
            max(0.0, left),
        )

    def _give_up(self, task: _Task[Any]) -> bool:
        """Wait no more, and tell whether the task is still not done."""
        # Counted before it can be counted back.
        with self._lock:
            self.given_up += 1
        if task.give_up():
            return True
        self._came_back()
        return False

    def _came_back(self) -> None:
        with self._lock:
            self.given_up -= 1


#: Waits for each call as long as it takes.
ENDLESS = Patience('', None)


class _Task(Generic[T]):
    """One call: its function, and what has become of it."""

    def __init__(
        self,
        function: Callable[[], T],
        discard: Callable[[T], object] | None,
        came_back: Callable[[], None],
    ) -> None:
        self._function = function
        self._discard = discard
        self._came_back = came_back
        self._lock = threading.Lock()
        self._over = False
        self._result: list[T] = []
        self._error: BaseException | None = None
        #: Held until the function has returned.
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        """Call the function."""
        try:
            self._result.append(self._function())
        except BaseException as exc:  # noqa: BLE001 - raised by the caller
            self._error = exc

    def finish(self) -> bool:
        """Tell whether the caller still waits: ``done`` is for that one."""
        with self._lock:
            given_up, self._over = self._over, True
        return not given_up

    def clear_up(self) -> None:
        """Let go of what came when nobody waited any more."""
        self._came_back()
        if self._discard and self._result:
            try:
                self._discard(self._result[0])
            except errors.BackupkitError as exc:
                LOG.debug('what came too late is not cleared up: %s', exc)

    def give_up(self) -> bool:
        """Tell that nobody waits any more; False where it is done."""
        with self._lock:
            given_up, self._over = not self._over, True
        return given_up

    def result(self) -> T:
        """Return or raise what the function did; it is done."""
        if self._error is not None:
            raise self._error
        return self._result[0]


class _Worker(threading.Thread):
    """A thread that runs one task after the other, for whole processes."""

    def __init__(self) -> None:
        super().__init__(name='call', daemon=True)
        self._next: _Task[Any] | None = None
        self._begin = threading.Lock()
        self._begin.acquire()

    def take(self, task: _Task[Any]) -> None:
        """Begin a task; the one before it is over."""
        self._next = task
        self._begin.release()

    def run(self) -> None:
        """Run what is taken, until the process ends."""
        while True:
            self._begin.acquire()
            task, self._next = self._next, None
            if task is not None:
                self._run(task)
            del task

    def _run(self, task: _Task[Any]) -> None:
        task.run()
        if task.finish():
            # Idle before the caller hears of it, whose next call is soon.
            _IDLE.append(self)
            task.done.release()
        else:
            task.clear_up()
            _IDLE.append(self)


#: Workers with nothing to do, of all targets.
_IDLE: collections.deque[_Worker] = collections.deque()
# Threads do not live on in a child.
os.register_at_fork(after_in_child=_IDLE.clear)


def _run(task: _Task[Any]) -> None:
    try:
        worker = _IDLE.pop()
    except IndexError:
        worker = _Worker()
        worker.start()
    worker.take(task)


def _in_worker() -> bool:
    """Tell whether somebody waits for this thread already."""
    return isinstance(threading.current_thread(), _Worker)


def _heeded() -> Callable[[], None] | None:
    control = control_.current()
    return None if control is None or control.stopped else control.check


def _slice(end: float) -> float:
    return max(0.0, min(SLICE_SECONDS, end - time.monotonic()))


def _stopped(check: Callable[[], None] | None) -> BaseException | None:
    """Return what a check raises: suspension is no Exception."""
    if check is None:
        return None
    try:
        check()
    except (errors.BackupkitError, errors.Suspended) as exc:
        return exc
    return None

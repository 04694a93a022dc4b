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


"""A store that tries again what may succeed later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import logging
from typing import TypeVar

import tenacity

from backupkit.drivers import store
from backupkit.drivers.wrappers import base
from backupkit.drivers.wrappers import waiting
from backupkit import errors

LOG = logging.getLogger(__name__)

#: The first pause is at most this long, each further one twice as long.
FIRST_PAUSE_SECONDS = 0.25
#: No pause is longer.
LONGEST_PAUSE_SECONDS = 5.0
#: So many names of one listing are kept, to go on where it broke off.
LISTED_LIMIT = 100_000
#: An object that may be ours is compared in pieces of this size.
COMPARED_BYTES = 1024 * 1024

T = TypeVar('T')


class Retry(base.StoreWrapper):
    """Try calls that failed with a retryable error again, up to a deadline.

    The pauses grow exponentially and are random below their bound; none is
    shorter than what the store asks for. When the deadline has passed, or
    the store asks for more than is left, the last error leaves.

    :param inner: the store that may fail
    :param deadline_seconds: time from the first failure of a call to the
        start of its last try
    """

    def __init__(
        self,
        inner: store.Store,
        deadline_seconds: float,
        waiter: waiting.Waiter | None = None,
    ) -> None:
        super().__init__(inner)
        self._deadline_seconds = deadline_seconds
        self._waiter = waiter or waiting.Waiter()

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Put, also where a try that failed had kept the object after all.

        A name that is taken at the first try is somebody else's. Later it
        may be what the failed try has kept: then size and every byte are as
        they should be, and the put has succeeded.

        :raises errors.ObjectExists: the name is taken by something else
        """
        failed = False

        def attempt() -> None:
            nonlocal failed
            try:
                self.inner.put(name, parts)
            except errors.ObjectExists:
                if not failed or not _is_kept(self.inner, name, parts):
                    raise
                LOG.debug('put %s had succeeded when it failed', name)
            except errors.BackupkitError:
                failed = True
                raise

        self._call(attempt, f'put {name}')

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Get, with further tries."""
        return self._call(
            lambda: self.inner.get(name, offset, length), f'get {name}'
        )

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Get, with further tries that fill the buffers anew."""
        self._call(
            lambda: self.inner.get_into(name, offset, buffers), f'get {name}'
        )

    def stat(self, name: str) -> store.ObjectStat:
        """Stat, with further tries."""
        return self._call(lambda: self.inner.stat(name), f'stat {name}')

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """List, and go on behind what was yielded when it broke off.

        A listing that breaks off behind :data:`LISTED_LIMIT` objects is not
        tried again: to remember more of them costs too much memory.
        """
        listed: set[str] = set()
        listing: Iterator[store.ObjectStat] | None = None

        def step() -> store.ObjectStat | None:
            nonlocal listing
            try:
                if listing is None:
                    listing = self.inner.list(prefix)
                return next((s for s in listing if s.name not in listed), None)
            except errors.BackupkitError:
                # What has raised is at its end: the next try begins anew.
                listing = None
                raise

        while len(listed) < LISTED_LIMIT:
            found = self._call(step, f'list {prefix}*')
            if found is None:
                return
            listed.add(found.name)
            yield found
        yield from (s for s in listing or () if s.name not in listed)

    def delete(self, name: str) -> None:
        """Delete, with further tries."""
        self._call(lambda: self.inner.delete(name), f'delete {name}')

    def delete_many(self, names: Sequence[str]) -> None:
        """Delete, with further tries: absent is fine."""
        self._call(
            lambda: self.inner.delete_many(names),
            f'delete {len(names)} objects',
        )

    def sweep(self) -> int:
        """Sweep, with further tries."""
        return self._call(self.inner.sweep, 'sweep')

    def _call(self, operation: Callable[[], T], what: str) -> T:
        try:
            return operation()
        except errors.BackupkitError as error:
            if not _may_pass(error):
                raise
            return self._call_again(operation, what, error)

    def _call_again(
        self,
        operation: Callable[[], T],
        what: str,
        error: errors.BackupkitError,
    ) -> T:
        end = self._waiter.now() + self._deadline_seconds
        backoff = tenacity.wait_random_exponential(
            multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS
        )
        failures = [error]

        def attempt() -> T:
            # The first try has been made already, outside of tenacity, whose
            # bookkeeping costs more than a small read from a local disk.
            if failures:
                raise failures.pop()
            return operation()

        def is_over(state: tenacity.RetryCallState) -> bool:
            return self._waiter.now() + _asked(state) >= end

        def pause(state: tenacity.RetryCallState) -> float:
            left = max(0.0, end - self._waiter.now())
            return min(max(backoff(state), _asked(state)), left)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=is_over,
            wait=pause,
            sleep=self._waiter.wait,
            before_sleep=lambda state: _warn(what, state),
            reraise=True,
        )(attempt)


def _may_pass(error: BaseException) -> bool:
    # A call that was given up has had its time, and has its memory still.
    return (
        isinstance(error, errors.BackupkitError)
        and error.retryable
        and not isinstance(error, errors.TargetStalled)
    )


def _asked(state: tenacity.RetryCallState) -> float:
    """Return for how long the store asks to be left alone."""
    error = state.outcome and state.outcome.exception()
    if isinstance(error, errors.TargetUnavailable):
        return error.retry_after_seconds
    return 0.0


def _warn(what: str, state: tenacity.RetryCallState) -> None:
    LOG.warning(
        'try %d to %s failed, the next one follows: %s',
        state.attempt_number,
        what,
        state.outcome and state.outcome.exception(),
    )


def _is_kept(
    opened: store.Store, name: str, parts: Sequence[store.Buffer]
) -> bool:
    views = [memoryview(part).cast('B') for part in parts]
    try:
        if opened.stat(name).size_bytes != sum(map(len, views)):
            return False
    except errors.ObjectNotFound:
        return False
    offset = 0
    for view in views:
        for start in range(0, len(view), COMPARED_BYTES):
            piece = view[start : start + COMPARED_BYTES]
            if opened.get(name, offset, len(piece)) != piece:
                return False
            offset += len(piece)
    return True

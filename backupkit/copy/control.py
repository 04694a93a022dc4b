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

"""How a long copy is watched and stopped from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import contextvars
import dataclasses
import threading

from backupkit import errors


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a step has come.

    ``done_bytes`` counts towards ``total_bytes``, holes included;
    ``read_bytes`` is what was really read and ``stored_bytes`` what was
    written at the other end.
    """

    step: str
    done_bytes: int = 0
    total_bytes: int = 0
    read_bytes: int = 0
    stored_bytes: int = 0


class Control:
    """Cancellation, suspension and progress of one run.

    :param report: called with a :class:`Progress`, from any thread, about
        once for each batch; it must be quick
    """

    def __init__(
        self, report: Callable[[Progress], None] | None = None
    ) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._progress = Progress('')
        self._cancelled = threading.Event()
        self._suspended = threading.Event()

    def cancel(self) -> None:
        """Ask the run to stop and to undo what it has made."""
        self._cancelled.set()

    def suspend(self) -> None:
        """Ask the run to stop and to keep what it has made."""
        self._suspended.set()

    @property
    def stopped(self) -> bool:
        """Whether the run has been asked to stop, in either way."""
        return self._cancelled.is_set() or self._suspended.is_set()

    def check(self) -> None:
        """Raise what the run was asked for, or return.

        :raises errors.Suspended: keep everything and stop
        :raises errors.Cancelled: undo everything and stop
        """
        if self._suspended.is_set():
            raise errors.Suspended('the run was suspended')
        if self._cancelled.is_set():
            raise errors.Cancelled('the run was cancelled')

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Let calls of this thread heed it, where it is no argument.

        Whoever waits within the block asks :func:`current` for it.
        """
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def start(self, step: str, total_bytes: int = 0) -> None:
        """Begin a step of the run and report it."""
        with self._lock:
            self._progress = Progress(step, total_bytes=total_bytes)
            progress = self._progress
        if self._report:
            self._report(progress)

    def advance(
        self, done_bytes: int, read_bytes: int = 0, stored_bytes: int = 0
    ) -> None:
        """Add to the counts of the step and report them."""
        with self._lock:
            old = self._progress
            self._progress = progress = dataclasses.replace(
                old,
                done_bytes=old.done_bytes + done_bytes,
                read_bytes=old.read_bytes + read_bytes,
                stored_bytes=old.stored_bytes + stored_bytes,
            )
        if self._report:
            self._report(progress)


_CURRENT: contextvars.ContextVar[Control | None] = contextvars.ContextVar(
    'backupkit_control', default=None
)


def current() -> Control | None:
    """Return the control that this thread heeds, if any."""
    return _CURRENT.get()

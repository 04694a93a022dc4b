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

"""How far a run has come, on stderr.

A bar on a terminal, else one line in each interval, or JSON lines for
programs (their format is promised in the manual, :doc:`/cli/exit-codes`).
Nothing here may disturb the run: a stderr that is gone is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
import threading
import time
from typing import TextIO

from backupkit.cli import display as display_
from backupkit.copy import control as control_

MODES = ('auto', 'bar', 'line', 'json', 'none')

#: How often a display hears of a run that tells nothing.
BEAT_SECONDS = 1.0

Clock = Callable[[], float]


class Reporter:
    """Called by a run with each small step, from any of its threads.

    A display gets the first state of a step, its last, and between them no
    more than one in an interval.
    """

    def __init__(self, display: display_.Display, clock: Clock) -> None:
        self._display = display
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: control_.Progress | None = None
        self._began = self._moved = self._shown = 0.0
        self._pending = False
        self._broken = False

    def __call__(self, progress: control_.Progress) -> None:
        """Take a state, and show it if it is time."""
        now = self._clock()
        with self._lock:
            latest = self._latest
            if latest is None or _is_new(progress, latest):
                self._flush(now)
                self._began = self._moved = now
                self._latest = progress
                self._show(now)
                return
            if progress.done_bytes < latest.done_bytes:
                return  # a thread that was late
            self._moved = now
            self._latest, self._pending = progress, True
            if now - self._shown >= self._display.interval_seconds:
                self._show(now)

    def beat(self) -> None:
        """Show the state again, if it is time and nothing was heard."""
        now = self._clock()
        with self._lock:
            if now - self._shown >= self._display.interval_seconds:
                self._show(now)

    def close(self) -> None:
        """Show the last state, if it was not shown yet."""
        with self._lock:
            self._flush(self._clock())

    def _flush(self, now: float) -> None:
        if self._pending:
            self._show(now)

    def _show(self, now: float) -> None:
        self._shown, self._pending = now, False
        if self._broken or self._latest is None:
            return
        try:
            pace = display_.Pace.of(
                self._latest, now - self._began, now - self._moved
            )
            self._display.show(self._latest, pace)
        except (OSError, ValueError):
            # Closed, or its reader has gone.
            self._broken = True


def _is_new(progress: control_.Progress, latest: control_.Progress) -> bool:
    return progress.step != latest.step or (
        not progress.done_bytes and latest.done_bytes > 0
    )


@contextlib.contextmanager
def reporting(
    mode: str, stream: TextIO, clock: Clock = time.monotonic
) -> Iterator[Reporter | None]:
    """Yield what a run calls to report its progress, or None.

    :param mode: one of :data:`MODES`
    """
    if mode == 'auto':
        mode = 'bar' if _is_screen(stream) else 'line'
    if mode == 'none':
        yield None
        return
    with contextlib.ExitStack() as stack:
        reporter = Reporter(_display(mode, stream, stack), clock)
        stack.callback(reporter.close)
        yield reporter


@contextlib.contextmanager
def beating(reporter: Reporter | None) -> Iterator[None]:
    """Let a reporter tell that a run waits, from a thread of its own.

    What it waits for may be a call that hangs: nothing else is called then.
    """
    if reporter is None:
        yield
        return
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            reporter.beat()

    thread = threading.Thread(target=beat, name='progress', daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _display(
    mode: str, stream: TextIO, stack: contextlib.ExitStack
) -> display_.Display:
    if mode == 'json':
        return display_.JsonLines(stream)
    if mode == 'line':
        return display_.Lines(stream)
    # Imported here: it costs as much as all of cliff.
    from rich import console
    from rich import progress

    bars = progress.Progress(
        progress.TextColumn('{task.description}'),
        progress.BarColumn(),
        progress.TextColumn('{task.fields[amount]}'),
        progress.TimeRemainingColumn(),
        console=console.Console(file=stream, force_terminal=True),
        transient=True,
        redirect_stdout=False,
    )
    return display_.Bar(stack.enter_context(bars))


def _is_screen(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get('TERM') not in (None, 'dumb')

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
programs (their format is promised in the manual, :doc:`/cli/progress`).
Nothing here may disturb the run: a stderr that is gone is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import datetime
import json
import os
import threading
import time
from typing import Any, Protocol, TextIO

from backupkit.cli import sizes
from backupkit.copy import control as control_

MODES = ('auto', 'bar', 'line', 'json', 'none')

#: Seconds between two reports: of lines that people read in a log, of
#: those that programs read, and of a bar.
LINE_SECONDS = 10.0
JSON_SECONDS = 1.0
BAR_SECONDS = 0.1

#: Steps that count things where others count bytes.
_COUNTED = frozenset({'validate'})

Clock = Callable[[], float]


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How fast a step goes, averaged over it, and how long it will go on.

    ``percent`` and ``eta_seconds`` are None where the end is not known.
    """

    elapsed_seconds: float
    rate_bytes_per_second: float
    percent: float | None
    eta_seconds: float | None

    @classmethod
    def of(cls, progress: control_.Progress, elapsed_seconds: float) -> Pace:
        """Judge the pace of a step that has taken this long."""
        done, total = progress.done_bytes, progress.total_bytes
        rate = done / elapsed_seconds if elapsed_seconds > 0 else 0.0
        if not total:
            return cls(elapsed_seconds, rate, None, None)
        left = max(total - done, 0)
        percent = min(100.0, 100.0 * done / total)
        eta = left / rate if rate else None
        return cls(elapsed_seconds, rate, percent, eta)


class Display(Protocol):
    """Shows the progress of one run; called by one thread at a time."""

    interval_seconds: float

    def show(self, progress: control_.Progress, pace: Pace) -> None:
        """Show this state."""


class Reporter:
    """Called by a run with each small step, from any of its threads.

    A display gets the first state of a step, its last, and between them no
    more than one in an interval.
    """

    def __init__(self, display: Display, clock: Clock) -> None:
        self._display = display
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: control_.Progress | None = None
        self._began = self._shown = 0.0
        self._pending = False
        self._broken = False

    def __call__(self, progress: control_.Progress) -> None:
        """Take a state, and show it if it is time."""
        now = self._clock()
        with self._lock:
            latest = self._latest
            if latest is None or _is_new(progress, latest):
                self._flush(now)
                self._began = now
                self._latest = progress
                self._show(now)
                return
            if progress.done_bytes < latest.done_bytes:
                return  # a thread that was late
            self._latest, self._pending = progress, True
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
            self._display.show(
                self._latest, Pace.of(self._latest, now - self._began)
            )
        except (OSError, ValueError):
            # Closed, or its reader has gone.
            self._broken = True


def _amount(progress: control_.Progress, pace: Pace) -> str:
    """Tell how much is done, and how fast."""
    done, total = progress.done_bytes, progress.total_bytes
    if progress.step in _COUNTED:
        return f'{done} of {total}'
    rate = f'{sizes.render(pace.rate_bytes_per_second)}/s'
    if pace.percent is None:
        return f'{sizes.render(done)}, {rate}'
    return f'{pace.percent:.1f} % of {sizes.render(total)}, {rate}'


class Lines:
    """One line an interval, for logs and mails of cron.

    Steps shorter than an interval stay unmentioned.
    """

    interval_seconds = LINE_SECONDS

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, progress: control_.Progress, pace: Pace) -> None:
        """Write one line."""
        if pace.elapsed_seconds < self.interval_seconds:
            return
        parts = [_amount(progress, pace)]
        if pace.eta_seconds is not None:
            left = datetime.timedelta(seconds=round(pace.eta_seconds))
            parts.append(f'{left} left')
        self._stream.write(f'{progress.step}: {", ".join(parts)}\n')
        self._stream.flush()


class JsonLines:
    """One JSON object a line, for programs."""

    interval_seconds = JSON_SECONDS

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, progress: control_.Progress, pace: Pace) -> None:
        """Write one object."""
        line: dict[str, Any] = {'event': 'progress'}
        line |= dataclasses.asdict(progress)
        line |= {
            name: None if value is None else round(value, 3)
            for name, value in dataclasses.asdict(pace).items()
        }
        self._stream.write(json.dumps(line) + '\n')
        self._stream.flush()


class Bar:
    """A bar with rate and time left, for the step that is on."""

    interval_seconds = BAR_SECONDS

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._step = ''
        self._task: Any = None

    def show(self, progress: control_.Progress, pace: Pace) -> None:
        """Move the bar; a new step takes the place of the last."""
        total = progress.total_bytes or None
        if self._task is None or progress.step != self._step:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._step = progress.step
            self._task = self._bars.add_task(
                self._step, total=total, amount=''
            )
        self._bars.update(
            self._task,
            completed=progress.done_bytes,
            total=total,
            amount=_amount(progress, pace),
        )


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


def _display(
    mode: str, stream: TextIO, stack: contextlib.ExitStack
) -> Display:
    if mode == 'json':
        return JsonLines(stream)
    if mode == 'line':
        return Lines(stream)
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
    return Bar(stack.enter_context(bars))


def _is_screen(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get('TERM') not in (None, 'dumb')

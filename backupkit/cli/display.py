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

"""What the progress of a run looks like: a bar, lines, or JSON lines."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any, Protocol, TextIO

from backupkit.cli import sizes
from backupkit.copy import control as control_

#: Seconds between two reports: of lines that people read in a log, of
#: those that programs read, and of a bar.
LINE_SECONDS = 10.0
JSON_SECONDS = 1.0
BAR_SECONDS = 0.1

#: Steps that count things where others count bytes.
_COUNTED = frozenset({'validate'})

#: From here on a run that does not advance is said to wait.
WAITING_SECONDS = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How fast a step goes, averaged over it, and how long it will go on.

    ``percent`` and ``eta_seconds`` are None where the end is not known;
    ``waiting_seconds`` is the time since it last advanced.
    """

    elapsed_seconds: float
    rate_bytes_per_second: float
    percent: float | None
    eta_seconds: float | None
    waiting_seconds: float

    @classmethod
    def of(
        cls,
        progress: control_.Progress,
        elapsed_seconds: float,
        waiting_seconds: float,
    ) -> Pace:
        """Judge the pace of a step that has taken this long."""
        done, total = progress.done_bytes, progress.total_bytes
        rate = done / elapsed_seconds if elapsed_seconds > 0 else 0.0
        if not total:
            return cls(elapsed_seconds, rate, None, None, waiting_seconds)
        left = max(total - done, 0)
        percent = min(100.0, 100.0 * done / total)
        eta = left / rate if rate else None
        return cls(elapsed_seconds, rate, percent, eta, waiting_seconds)


class Display(Protocol):
    """Shows the progress of one run; called by one thread at a time."""

    interval_seconds: float

    def show(self, progress: control_.Progress, pace: Pace) -> None:
        """Show this state."""


def _amount(progress: control_.Progress, pace: Pace) -> str:
    """Tell how much is done, how fast, and whether it waits."""
    done = _done(progress, pace)
    if pace.waiting_seconds < WAITING_SECONDS:
        return done
    waiting = f'waiting for {_span(pace.waiting_seconds)}'
    # A step that counts nothing is just not over.
    return f'{done}, {waiting}' if progress.done_bytes else waiting


def _span(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def _done(progress: control_.Progress, pace: Pace) -> str:
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
        if pace.eta_seconds:
            parts.append(f'{_span(pace.eta_seconds)} left')
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

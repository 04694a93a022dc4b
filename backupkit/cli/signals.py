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

"""Signals that reach a run.

The first Ctrl-C asks the run to stop and to undo what it has made; the
second one ends the process at once and leaves that to ``doctor``. SIGTERM
and SIGHUP ask the run to stop where it is and to keep what it has made.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import signal
import sys
import types

from backupkit.copy import control as control_

_INTERRUPTED = 130


class _Handlers:
    """What the signals do while one run is on."""

    def __init__(self, control: control_.Control) -> None:
        self._control = control
        self._interrupted = False

    def interrupt(self, number: int, frame: types.FrameType | None) -> None:
        if self._interrupted:
            _say('\nstopped at once; see: backupkit doctor\n')
            os._exit(_INTERRUPTED)
        self._interrupted = True
        self._control.cancel()
        _say('\nstopping, and undoing what was made; Ctrl-C again: at once\n')

    def suspend(self, number: int, frame: types.FrameType | None) -> None:
        self._control.suspend()


@contextlib.contextmanager
def reaching(control: control_.Control) -> Iterator[None]:
    """Lead the signals of this process to one run.

    Signals that the process was told to ignore (nohup, or a job in the
    background of a script) stay ignored.
    """
    handlers = _Handlers(control)
    wanted = {
        signal.SIGINT: handlers.interrupt,
        signal.SIGTERM: handlers.suspend,
        signal.SIGHUP: handlers.suspend,
    }
    before = {
        number: signal.signal(number, handler)
        for number, handler in wanted.items()
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _say(text: str) -> None:
    """Write from within a handler, where buffered streams may be busy."""
    # A progress bar may have hidden the cursor.
    shown = '\x1b[?25h' if sys.stderr.isatty() else ''
    try:
        os.write(sys.stderr.fileno(), (shown + text).encode())
    except (OSError, ValueError):
        # Nobody listens any more: the signal counts all the same.
        return

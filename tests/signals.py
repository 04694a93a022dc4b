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

"""Signals as a terminal leaves them, wherever the tests are started.

A script's job in the background ignores SIGINT, and what ``nohup`` starts
ignores SIGHUP; all their children would.
"""

from __future__ import annotations

import signal
import unittest

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def reset() -> None:
    """Let signals end this process: called in a child before its program."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_DFL)


def reset_here(case: unittest.TestCase) -> None:
    """Let signals reach this process as Python does, for one test."""
    for number in _NUMBERS:
        before = signal.signal(number, signal.SIG_DFL)
        case.addCleanup(signal.signal, number, before)
    signal.signal(signal.SIGINT, signal.default_int_handler)

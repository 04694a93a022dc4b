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


"""Waiting that a stopped run does not have to sit out."""

from __future__ import annotations

from collections.abc import Callable
import time

#: How long a wait goes on at most before it asks whether to go on.
SLICE_SECONDS = 0.5


def _go_on() -> None:
    """Never stop a wait."""


class Waiter:
    """A clock and a way to wait, with both of them replaceable.

    :param check: called before and during each wait; what it raises ends
        the wait, and with it the call that waited
    :param clock: tells seconds that never go back
    :param sleep: waits for some seconds
    """

    def __init__(
        self,
        check: Callable[[], None] = _go_on,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._check = check
        self._sleep = sleep
        self.now = clock

    def wait(self, seconds: float) -> None:
        """Return after some seconds, or raise what the check raises."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0:
            self._check()
            self._sleep(min(left, SLICE_SECONDS))

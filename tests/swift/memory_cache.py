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

"""A paste filter that is Swift's memory in place of memcached.

Loaded by the proxy server, which is one process here; nothing of it is
needed by the tests themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import time
from typing import Any

_App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Memory:
    """The part of Swift's memcache client that its filters call."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, float]] = {}

    def get(self, key: str, **unused: Any) -> Any:
        """Return what is kept, or None."""
        value, until = self._kept.get(key, (None, 0.0))
        return value if not until or until > time.time() else None

    def set(
        self, key: str, value: Any, time: float = 0, **unused: Any
    ) -> None:
        """Keep a value, for so many seconds or for good."""
        self._kept[key] = (value, _until(time))

    def incr(
        self, key: str, delta: int = 1, time: float = 0, **unused: Any
    ) -> int:
        """Add to a number, and return it."""
        total = max(0, int(self.get(key) or 0) + delta)
        self.set(key, total, time)
        return total

    def decr(self, key: str, delta: int = 1, **more: Any) -> int:
        """Take from a number, and return it."""
        return self.incr(key, -delta, **more)

    def delete(self, key: str, **unused: Any) -> None:
        """Forget a value."""
        self._kept.pop(key, None)

    def set_multi(
        self,
        mapping: Mapping[str, Any],
        key: str,
        time: float = 0,
        **unused: Any,
    ) -> None:
        """Keep several values."""
        for one, value in mapping.items():
            self.set(one, value, time)

    def get_multi(self, keys: Iterable[str], key: str, **unused: Any) -> Any:
        """Return several values."""
        return [self.get(one) for one in keys]


def _until(seconds: float) -> float:
    """Return when a value ends; a large number is a time itself."""
    if not seconds:
        return 0.0
    return seconds if seconds > 30 * 86400 else time.time() + seconds


def filter_factory(
    configuration: Mapping[str, str], **unused: str
) -> Callable[[_App], _App]:
    """Return the filter, as paste wants it."""
    memory = Memory()

    def wrap(app: _App) -> _App:
        def filtered(
            environment: dict[str, Any], start_response: Any
        ) -> Iterable[bytes]:
            environment['swift.cache'] = memory
            return app(environment, start_response)

        return filtered

    return wrap

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

"""A proxy of ours before Swift: it lets requests fail, or listings lag.

What fails is told by container and verb, so that many tests can use one
proxy at the same time. Bodies are kept in memory: use it for small ones.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
import json
import threading
import time
import urllib.parse

from tests.swift import faults
from tests.swift import handler

Fault = faults.Fault
Rule = faults.Rule
Verb = faults.Verb


class Weather:
    """The proxy, and what it does to whom.

    :param url: of the real one
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.upstream = (str(parts.hostname), int(parts.port or 80))
        self._lock = threading.Lock()
        self._rules: dict[tuple[str, Verb], Rule] = {}
        self._counts: dict[tuple[str, Verb], int] = {}
        self._lags: dict[str, float] = {}
        self._due: dict[
            str, list[tuple[Verb | None, int, Callable[[], None]]]
        ] = {}
        self.acknowledged_bytes = collections.Counter[str]()
        self.statuses = collections.Counter[tuple[str, int]]()
        self._born: dict[tuple[str, str], float] = {}
        self._server = handler.Server(('127.0.0.1', 0), handler.Handler)
        self._server.weather = self
        self.url = f'http://127.0.0.1:{self._server.server_port}'
        self.auth_url = f'{self.url}/auth/v1.0'
        threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        ).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def set(
        self,
        container: str,
        verb: Verb,
        fault: Fault,
        times: int | None = 1,
        headers: Mapping[str, str] | None = None,
    ) -> Rule:
        """Let requests fail from now on."""
        rule = Rule(fault, times, headers)
        with self._lock:
            self._rules[container, verb] = rule
        return rule

    def clear(self, container: str) -> None:
        """Let nothing fail any more."""
        with self._lock:
            for key in [one for one in self._rules if one[0] == container]:
                del self._rules[key]

    def lag(self, container: str, seconds: float) -> None:
        """Leave objects out of listings until they are so old."""
        with self._lock:
            self._lags[container] = seconds

    def count(self, container: str, verb: Verb) -> int:
        """Return how many requests there were."""
        with self._lock:
            return self._counts.get((container, verb), 0)

    def after(
        self,
        container: str,
        count: int,
        action: Callable[[], None],
        verb: Verb | None = None,
    ) -> None:
        """Do something before so many more requests have been served.

        :param verb: only such are counted
        """
        with self._lock:
            due = self._total(container, verb) + count
            self._due.setdefault(container, []).append((verb, due, action))

    def meet(self, container: str, verb: Verb) -> Rule | None:
        """Count a request; return the rule that it falls under, if any."""
        for action in self._count(container, verb):
            action()
        with self._lock:
            rule = self._rules.get((container, verb))
            if rule is None or (
                rule.times is not None and (rule.met >= rule.times)
            ):
                return None
            rule.met += 1
            return rule

    def told(
        self, container: str, name: str, verb: Verb, status: int, size: int
    ) -> None:
        """Remember what the real one answered."""
        with self._lock:
            self.statuses[container, status] += 1
            if verb is Verb.PUT and status == 201:
                self._born[container, name] = time.monotonic()
                self.acknowledged_bytes[container] += size

    def _count(self, container: str, verb: Verb) -> list[Callable[[], None]]:
        """Count a request; return what is to be done before it."""
        with self._lock:
            key = (container, verb)
            self._counts[key] = self._counts.get(key, 0) + 1
            planned = self._due.pop(container, [])
            late = [
                one
                for one in planned
                if one[1] > self._total(container, one[0])
            ]
            if late:
                self._due[container] = late
            return [one[2] for one in planned if one not in late]

    def _total(self, container: str, verb: Verb | None) -> int:
        return sum(
            count
            for (where, what), count in self._counts.items()
            if where == container and verb in (what, None)
        )

    def listing(self, container: str, data: bytes) -> bytes:
        """Return a listing as somebody sees it who lags behind."""
        with self._lock:
            seconds = self._lags.get(container)
            if not seconds or not data:
                return data
            before = time.monotonic() - seconds
            shown = [
                one
                for one in json.loads(data)
                if self._born.get((container, one['name']), 0.0) < before
            ]
            return json.dumps(shown).encode()

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

"""Reads of a real cluster that are served from what was read ahead."""

from __future__ import annotations

import functools
import random

from backupkit.drivers import store as store_
from backupkit import errors
from backupkit_plugins.targets.swift import connection
from backupkit_plugins.targets.swift import store
from tests.swift import stand
from tests.swift import weather as weather_

Fault = weather_.Fault

_SPAN = 64 << 10
_READ = 8 << 10
_SIZE = 10 * _SPAN + 1000
#: More than there will be, so that none has to wait for memory.
_SPANS = 16


class AheadTest(stand.SwiftCase):
    def setUp(self) -> None:
        super().setUp()
        self.data = random.Random(self.id()).randbytes(_SIZE)
        self.begin()
        self.opened.put('name', [self.data])

    def begin(self) -> None:
        """Open the store anew, which then has read nothing."""
        target = self.load()
        connections = connection.Connections(target._identity, 4, 20.0)
        opened = store.SwiftStore(
            connections, self.container, ahead=_SPANS, span_bytes=_SPAN
        )
        self.addCleanup(opened.close)
        self.opened: store_.Store = target.store_wrapper(opened, None)

    def read_all(self) -> bytes:
        """Read an object in order."""
        found = bytearray()
        while len(found) < _SIZE:
            length = min(_READ, _SIZE - len(found))
            found += self.opened.get('name', len(found), length)
        return bytes(found)

    def gets(self) -> int:
        return self.weather.count(self.container, weather_.Verb.GET)

    def fail_once(self, fault: Fault) -> None:
        self.rule = self.weather.set(
            self.container,
            weather_.Verb.GET,
            fault,
            1,
            {'Retry-After': '0'},
        )

    def test_get_when_in_order_then_few_requests(self) -> None:
        self.assertEqual(self.data, self.read_all())
        # The first read tells nothing yet; all others are in spans.
        self.assertEqual(1 + 10, self.gets())

    def test_get_when_it_meets_a_fault_then_it_is_right(self) -> None:
        for fault in (
            Fault.TOKEN,
            Fault.RATE,
            Fault.BROKEN,
            Fault.RESET,
            Fault.SHORT,
        ):
            for count in (2, 5):
                self.begin()
                self.weather.after(
                    self.container,
                    count,
                    functools.partial(self.fail_once, fault),
                    weather_.Verb.GET,
                )
                before = self.gets()
                self.assertEqual(self.data, self.read_all(), fault)
                self.assertGreater(self.gets() - before, count, fault)
                self.assertEqual(1, self.rule.met, fault)

    def test_get_when_it_was_deleted_then_not_found(self) -> None:
        self.assertEqual(self.data, self.read_all())
        self.opened.delete('name')
        with self.assertRaises(errors.ObjectNotFound):
            self.opened.get('name', _SIZE // 2, _READ)
        self.opened.put('name', [self.data[::-1]])
        self.assertEqual(self.data[::-1], self.read_all())

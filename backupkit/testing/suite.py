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


"""What the conformance suites have in common.

A suite is a mixin: a driver's test class inherits it together with
:class:`unittest.TestCase`, or any class made from it, and defines one hook.
Each test cites, behind ``Guards:``, the sentences of the contract that it
guards: a numbered rule of a module, a method, an error of a method, or a
capability.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import dataclasses
import random
import threading
from typing import Any, TYPE_CHECKING
import unittest

from backupkit import errors

if TYPE_CHECKING:
    _Case = unittest.TestCase
else:
    # A mixin: a suite that is imported by name must not run by itself.
    _Case = object

Buffer = bytes | bytearray

#: How long the calls that a test makes at the same time may take.
PATIENCE_SECONDS = 120


class Suite(_Case):
    """Base class of the suites."""

    def setUp(self) -> None:
        """Give each test random numbers of its own, the same every time."""
        super().setUp()
        self.random = random.Random(self._testMethodName)

    def assert_not_supported(
        self, call: Callable[..., Any], *arguments: Any
    ) -> None:
        """Assert that a call for a missing capability says so."""
        with self.assertRaises(errors.NotSupported):
            call(*arguments)

    def assert_bytes(self, expected: Buffer, found: Buffer, what: str) -> None:
        """Assert that bytes are equal; tell the first that is not."""
        if bytes(expected) == bytes(found):
            return
        self.assertEqual(len(expected), len(found), f'the size of {what}')
        pairs = enumerate(zip(expected, found))
        offset = next(n for n, (a, b) in pairs if a != b)
        self.fail(
            f'{what} differs at {offset}: {expected[offset]} was expected '
            f'and {found[offset]} found'
        )

    def assert_subset(self, effective: Any, stated: Any) -> None:
        """Assert that no capability is effective that the class lacks."""
        self.assertIs(type(effective), type(stated))
        for field in dataclasses.fields(stated):
            fact = getattr(effective, field.name)
            most = getattr(stated, field.name)
            if isinstance(fact, bool):
                self.assertLessEqual(fact, most, field.name)
            else:
                self.assert_subset(fact, most)


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls in threads that begin at once; return results or errors.

    They come in the order of the calls; what a call raised stands in the
    place of its result.
    """
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(PATIENCE_SECONDS)
        return call()

    with futures.ThreadPoolExecutor(len(calls)) as pool:
        started = [pool.submit(run, call) for call in calls]
        return [
            future.exception(PATIENCE_SECONDS) or future.result()
            for future in started
        ]


def successes(results: list[Any]) -> list[Any]:
    """Return the results, or raise the first error among them."""
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results

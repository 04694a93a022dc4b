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

"""The results of tests in a guest, as the host hears of them.

They are a subunit stream in a file that the guest appends to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import io
import pathlib
from typing import BinaryIO

import subunit
import testtools
from testtools.testresult import real

_FINAL = frozenset({'success', 'fail', 'skip', 'xfail', 'uxsuccess'})


class Relay:
    """Passes on what is in the file, and knows which tests have ended."""

    def __init__(self, path: pathlib.Path, out: BinaryIO) -> None:
        self._path = path
        self._out = out
        self._read = bytearray()
        path.touch()

    def pass_on(self) -> None:
        """Write out what was added to the file since the last call."""
        with self._path.open('rb') as file:
            file.seek(len(self._read))
            added = file.read()
        self._read += added
        self._out.write(added)
        self._out.flush()

    def ended(self) -> set[str]:
        """Return the ids of the tests that have a result."""
        found: set[str] = set()

        def add(test: real.TestDict) -> None:
            if test['status'] in _FINAL:
                found.add(test['id'])

        _parse(bytes(self._read), add)
        return found


def listed(read: bytes) -> list[str]:
    """Return the ids of the tests that a stream only names."""
    found: list[str] = []

    def add(test: real.TestDict) -> None:
        if test['status'] == 'exists':
            found.append(test['id'])

    _parse(read, add)
    return found


def fail(out: BinaryIO, test_ids: Iterable[str], reason: str) -> None:
    """Give each of these tests a result: that it failed, and why."""
    result = subunit.StreamResultToBytes(out)
    for test_id in test_ids:
        result.status(
            test_id=test_id,
            test_status='fail',
            file_name='reason',
            file_bytes=reason.encode(),
            mime_type='text/plain; charset="utf8"',
            eof=True,
        )
    out.flush()


def _parse(read: bytes, add: Callable[[real.TestDict], None]) -> None:
    result = testtools.StreamToDict(add)
    result.startTestRun()
    source = io.BytesIO(read)
    subunit.ByteStreamToStreamResult(source, 'stdout').run(result)
    result.stopTestRun()

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

"""A QEMU process that has a volume open, and writes to it all the while.

It has no processor that runs: what a guest would write comes over a socket
to its disk, through all that lies between a disk and its image.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import pathlib
import subprocess
import tempfile
import threading
import time
from typing import Any
import unittest

from backupkit.copy.nbd import client
from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.nfs import qmp

BLOCK_BYTES = 4096
_START_SECONDS = 60


class Guest:
    """A process that has a chain of images open.

    :param directory: of the images
    :param links: the one that is written first
    :param explicit: name each file of the chain on the command line, as
        libvirt does, instead of having it found in the headers
    :param read_only: and let nothing write to those below the first, ever
    """

    def __init__(
        self,
        case: unittest.TestCase,
        directory: pathlib.Path,
        links: Sequence[model.Link],
        *,
        explicit: bool = False,
        read_only: bool = False,
    ) -> None:
        made = tempfile.TemporaryDirectory()
        case.addCleanup(made.cleanup)
        self.monitor = f'{made.name}/qmp'
        self.disk = f'{made.name}/nbd'
        control = f'{made.name}/control'
        used = links if explicit else links[:1]
        self.process = subprocess.Popen(
            [
                *('qemu-system-x86_64', '-M', 'none', '-nodefaults'),
                *('-display', 'none'),
                *('-qmp', f'unix:{self.monitor},server=on,wait=off'),
                *('-qmp', f'unix:{control},server=on,wait=off'),
                *_blockdevs(directory, used, read_only=read_only),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        case.addCleanup(self.end)
        self._control = self._connect(control)
        case.addCleanup(self._control.__exit__, None, None, None)
        self._control.run(
            'nbd-server-start',
            {'addr': {'type': 'unix', 'data': {'path': self.disk}}},
        )
        self._control.run(
            'block-export-add',
            {
                'id': 'disk',
                'type': 'nbd',
                'node-name': 'drive0',
                'name': '',
                'writable': True,
            },
        )

    def _connect(self, path: str) -> qmp.Monitor:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                return qmp.Monitor(path)
            except errors.SourceError:
                # Not there yet, or there and not listening yet.
                if self.process.poll() is not None:
                    assert self.process.stderr is not None
                    text = self.process.stderr.read()
                    raise AssertionError(text) from None
                if time.monotonic() > until:
                    raise
            threading.Event().wait(0.02)

    def connect(self) -> client.Connection:
        """Return a connection to the disk."""
        return client.Connection(self.disk)

    def quit(self) -> None:
        """Have the process end, as after a shutdown of its guest."""
        self._control.run('quit')
        self.process.wait()

    def end(self) -> None:
        """End the process at once; twice is fine."""
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


def _blockdevs(
    directory: pathlib.Path,
    links: Sequence[model.Link],
    *,
    read_only: bool,
) -> list[str]:
    options = []
    for number in reversed(range(len(links))):
        link = links[number]
        file: dict[str, Any] = {
            'driver': 'file',
            'node-name': f'file{number}',
            'filename': str(directory / link.name),
        }
        image: dict[str, Any] = {
            'driver': link.format,
            'node-name': f'drive{number}',
            'file': f'file{number}',
        }
        if number + 1 < len(links):
            image['backing'] = f'drive{number + 1}'
        if number:
            file['auto-read-only'] = image['auto-read-only'] = True
            file['read-only'] = image['read-only'] = read_only
        for node in (file, image):
            options += ['-blockdev', json.dumps(node)]
    return options


class Writer(threading.Thread):
    """Writes a counter from block to block of a disk, without a pause.

    After so many writes each block holds what :func:`expected` says, and
    nothing else: a state that never was is seen.
    """

    def __init__(self, guest: Guest, blocks: int) -> None:
        super().__init__(daemon=True)
        self.blocks = blocks
        #: How many writes were answered.
        self.count = 0
        self.error: Exception | None = None
        self._guest = guest
        self._ended = threading.Event()

    def run(self) -> None:
        """Write until told to stop."""
        try:
            connection = self._guest.connect()
            while not self._ended.is_set():
                number = self.count + 1
                offset = (number - 1) % self.blocks * BLOCK_BYTES
                connection.write(offset, [bytearray(stamp(number))])
                self.count = number
            connection.flush()
            connection.close()
        except Exception as exc:  # noqa: BLE001 - told in stop()
            self.error = exc

    def wait_for(self, count: int) -> None:
        """Return once so many more writes were answered."""
        until = time.monotonic() + 120
        wanted = self.count + count
        while self.count < wanted and self.error is None:
            if time.monotonic() > until:
                raise AssertionError('the guest does not get on')
            threading.Event().wait(0.005)
        if self.error is not None:
            raise self.error

    def stop(self) -> int:
        """End it; return how many writes there were."""
        self._ended.set()
        self.join(120)
        if self.error is not None:
            raise self.error
        return self.count


def stamp(number: int) -> bytes:
    """Return what the write of that number leaves in its block."""
    return number.to_bytes(8, 'big') * (BLOCK_BYTES // 8)


def writes_in(data: bytes, blocks: int) -> int:
    """Return after how many writes a disk held just these bytes.

    :raises AssertionError: it never did
    """
    numbers = [
        int.from_bytes(data[offset : offset + 8], 'big')
        for offset in range(0, blocks * BLOCK_BYTES, BLOCK_BYTES)
    ]
    last = max(numbers)
    for place in range(blocks):
        # The last write to this block that is not later than `last`.
        number = last - (last - 1 - place) % blocks if last else 0
        wanted = stamp(number) if number > 0 else bytes(BLOCK_BYTES)
        found = data[place * BLOCK_BYTES : (place + 1) * BLOCK_BYTES]
        if found != wanted:
            raise AssertionError(
                f'block {place} holds write {numbers[place]} and not '
                f'{number}, in a disk with write {last}'
            )
    return last

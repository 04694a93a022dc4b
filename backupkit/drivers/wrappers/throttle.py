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


"""A store that moves no more than so many bytes a second."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import dataclasses
import logging
import threading

from backupkit.drivers import store
from backupkit.drivers.wrappers import base
from backupkit.drivers.wrappers import waiting
from backupkit import errors

LOG = logging.getLogger(__name__)

#: A bucket that was left alone holds what may flow in this time, and nobody
#: goes deeper into debt than that.
BURST_SECONDS = 1.0

#: Shorter waits are not worth a line in the log.
TOLD_SECONDS = 10.0


class TokenBucket:
    """An allowance of bytes a second, shared by threads and stores.

    Who takes more than may flow in :data:`BURST_SECONDS` waits until all
    but so much of it is paid for. So what comes after it, to undo it
    perhaps, need not wait for its debt.
    """

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._paid_at: float | None = None

    def reserve(self, size_bytes: int, now: float) -> float:
        """Take bytes out, and return the seconds to wait before using them.

        :param now: the time, in seconds of a clock that never goes back
        """
        cost = size_bytes / self._rate
        with self._lock:
            full = now - BURST_SECONDS
            start = full if self._paid_at is None else self._paid_at
            start = max(start, full)
            self._paid_at = start + cost
        return max(0.0, start + max(0.0, cost - BURST_SECONDS) - now)

    def give_back(self, size_bytes: int) -> None:
        """Put bytes back that were reserved, and are not used."""
        with self._lock:
            if self._paid_at is not None:
                self._paid_at -= size_bytes / self._rate


class Throttle(base.StoreWrapper):
    """Hold each call back until the bucket has paid for it.

    A call is never cut into pieces: one put runs as fast as it can, while
    the next one waits. Over time the rate holds.
    """

    def __init__(
        self,
        inner: store.Store,
        bucket: TokenBucket,
        waiter: waiting.Waiter | None = None,
    ) -> None:
        super().__init__(inner)
        # What goes through a descriptor could not be held back.
        self.capabilities = dataclasses.replace(
            inner.capabilities, files=False
        )
        self._bucket = bucket
        self._waiter = waiter or waiting.Waiter()

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Put when it is the turn of these bytes."""
        self._take(sum(memoryview(part).nbytes for part in parts))
        self.inner.put(name, parts)

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Get when it is the turn of these bytes.

        Where the length is not given, it is known only afterwards.
        """
        if length is not None:
            self._take(length)
        data = self.inner.get(name, offset, length)
        if length is None:
            self._pay(len(data))
        return data

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Get when it is the turn of these bytes."""
        self._take(sum(memoryview(buffer).nbytes for buffer in buffers))
        self.inner.get_into(name, offset, buffers)

    def make_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Refuse it: the rate would not hold.

        :raises errors.NotSupported: always
        """
        raise _unthrottled(name)

    def open_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Refuse it: the rate would not hold.

        :raises errors.NotSupported: always
        """
        raise _unthrottled(name)

    def _take(self, size_bytes: int) -> None:
        """Wait until it is the turn of bytes that are to flow."""
        try:
            self._pay(size_bytes)
        except BaseException:
            # The run was stopped: they do not flow.
            self._bucket.give_back(size_bytes)
            raise

    def _pay(self, size_bytes: int) -> None:
        seconds = self._bucket.reserve(size_bytes, self._waiter.now())
        if seconds >= TOLD_SECONDS:
            LOG.info(
                'max_bytes_per_second holds %d bytes back for %.0f seconds',
                size_bytes,
                seconds,
            )
        self._waiter.wait(seconds)


def _unthrottled(name: str) -> errors.NotSupported:
    return errors.NotSupported(
        f'cannot hold {name} to max_bytes_per_second: it is a file'
    )

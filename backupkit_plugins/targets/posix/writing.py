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


"""Writing an object's bytes into its file.

Large objects go past the page cache: its pages are fresh memory, which is
dear where it must be asked back from a hypervisor, and nobody reads them
soon. That takes memory, offsets and lengths in whole pages. So a large
part that begins a file and lies in aligned memory is written from where it
is, and everything else is gathered in memory that is used again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import errno
import threading

from backupkit.copy import direct
from backupkit_plugins.targets.posix import fsops

#: Parts from here on are written from where they are.
_LARGE_BYTES = 128 << 10
#: Bytes of one call, and of what is gathered for one.
_CALL_BYTES = 8 << 20
_GATHERED_BYTES = 1 << 20
_PAGE = direct.ALIGNMENT


class _Gathered(threading.local):
    """Aligned memory of one thread."""

    def __init__(self) -> None:
        self.memory = direct.aligned(_GATHERED_BYTES)


_GATHERED = _Gathered()


def write(fd: int, parts: Sequence[fsops.Buffer]) -> int:
    """Write the parts one behind the other into an empty file.

    :returns: how many bytes these are
    """
    views = [memoryview(part).cast('B') for part in parts]
    sink = _Sink(fd, direct=sum(map(len, views)) >= _LARGE_BYTES)
    memory, used = _GATHERED.memory, 0
    for view in views:
        left = view
        if len(view) >= _LARGE_BYTES and not used:
            left = sink.take_pages(view)
        while left:
            count = min(len(left), len(memory) - used)
            memory[used : used + count] = left[:count]
            used += count
            left = left[count:]
            if used == len(memory):
                sink.take(memory)
                used = 0
    sink.take(memory[:used])
    return sink.offset


def forget(fd: int, offset: int = 0, length: int = 0) -> None:
    """Let go of cached pages; a length of 0 means to the end.

    Dirty ones begin to be written, so that a sync has little to wait for.
    """
    # It is only advice: to get it refused harms nobody.
    with contextlib.suppress(OSError):
        fsops.drop_pages(fd, offset, length)


class _Sink:
    """A file that is written from its start to its end."""

    def __init__(self, fd: int, *, direct: bool) -> None:
        self._fd = fd
        self._direct = direct and _set_direct(fd)
        self.offset = 0

    def take_pages(self, view: memoryview) -> memoryview:
        """Write the whole pages of a part from where they are.

        :returns: what is left of it: more, if it lies in wrong memory
        """
        whole = len(view) - len(view) % _PAGE if self._direct else len(view)
        left = self._write(view[:whole])
        return view[whole - len(left) :]

    def take(self, view: memoryview) -> None:
        """Write all of what lies in aligned memory."""
        if self._direct:
            view = self.take_pages(view)
            if view:
                # The end of the file, or what cannot go directly at all.
                self._direct = False
                fsops.set_direct(self._fd, direct=False)
        self._write(view)

    def _write(self, view: memoryview) -> memoryview:
        """Write, and return what the file refuses to take directly."""
        while view:
            start = self.offset
            try:
                done = fsops.pwritev(self._fd, [view[:_CALL_BYTES]], start)
            except OSError as exc:
                if self._direct and exc.errno == errno.EINVAL:
                    break
                raise
            if done <= 0:
                raise OSError(errno.EIO, 'nothing was written')
            self.offset += done
            view = view[done:]
            if not self._direct:
                forget(self._fd, start, done)
        return view


def _set_direct(fd: int) -> bool:
    """Go past the page cache where the file system can do that."""
    try:
        fsops.set_direct(fd, direct=True)
    except OSError as exc:
        if exc.errno == errno.EINVAL:
            return False
        raise
    return True

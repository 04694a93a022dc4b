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


"""Record what a workload does to a disk, then cut the power everywhere.

::

    recorder = powercut.PowerCut(base)
    with recorder.recording():
        ...
        recorder.acknowledge('backup 1')
    recorder.replay(check, scratch, limit=1000, seed=1)

``base`` is an existing directory, and the workload writes below it through
the seam of the POSIX store. ``check(path, acknowledged)`` is called for
each state, which lies below ``path`` as it lay below ``base``. It recovers
there and asserts that everything acknowledged is still true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import itertools
import os
import pathlib
import random
import shutil
import stat
import tempfile
import threading
from typing import Any
from unittest import mock

from backupkit_plugins.targets.posix import fsops
from tests.unit.crash import disk as disk_
from tests.unit.crash import seam

Check = Callable[[str, Sequence[object]], None]

# So often one moment may yield what was seen before until it is given up.
_PATIENCE = 500


def directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for a base and scratch, in memory if possible.

    Nothing depends on the file system it lies on, but that many small
    trees come and go.
    """
    memory = '/dev/shm'
    return tempfile.TemporaryDirectory(
        dir=memory if os.access(memory, os.W_OK | os.X_OK) else None
    )


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What one power cut left, and what had been promised before it."""

    calls: int
    last_call: str
    tree: disk_.Tree
    acknowledged: tuple[object, ...]

    def materialise(self, path: str) -> None:
        """Lay the state out below a directory, which is made."""
        root = pathlib.Path(path)
        root.mkdir(parents=True)
        for name, data in self.tree.items():
            if data is None:
                (root / name).mkdir()
            else:
                (root / name).write_bytes(data)

    def __str__(self) -> str:
        lines = [
            f'{name}/' if data is None else f'{name}: {len(data)} bytes'
            for name, data in sorted(self.tree.items())
        ]
        return (
            f'power cut after call {self.calls}, {self.last_call}; '
            f'acknowledged: {list(self.acknowledged)!r}; left: {lines!r}'
        )


class PowerCut:
    """Records the calls of the seam below a directory."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._lock = threading.RLock()
        self._nodes: dict[tuple[int, int], disk_.Node] = {}
        self._before: list[disk_.Event] = []
        self._events: list[tuple[str, disk_.Event]] = []
        self._root = disk_.Directory()

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record what is done meanwhile.

        What there is at the first time is durable. May be entered again,
        to go on with the same recording.
        """
        if not self._nodes:
            self._nodes[_key(os.stat(self._base))] = self._root
            self._snapshot(self._base, self._root)
        with seam.intercepted(self._intercept):
            yield

    def acknowledge(self, token: object) -> None:
        """Note a promise: it must hold after any later power cut."""
        with self._lock:
            event = disk_.Acknowledge(token)
            self._events.append((f'acknowledge {token!r}', event))

    def states(self, limit: int = 1000, seed: int = 0) -> Iterator[State]:
        """Yield up to ``limit`` different states, from all moments.

        Every moment has its turn before any has its next one. The same
        seed gives the same states.
        """
        draw = random.Random(seed)
        moments = [*self._moments(draw)]
        draw.shuffle(moments)
        yield from itertools.islice(_take_turns(moments), limit)

    def replay(
        self, check: Check, scratch: str, limit: int = 1000, seed: int = 0
    ) -> int:
        """Check every state in a directory of its own below ``scratch``.

        No sync is waited for there: nothing cuts the power a second time.

        :returns: how many states there were
        :raises AssertionError: a check failed; the state is told
        """
        number = 0
        for number, state in enumerate(self.states(limit, seed), 1):
            path = os.path.join(scratch, f'state-{number}')
            state.materialise(path)
            try:
                with mock.patch.object(fsops, 'fsync', autospec=True):
                    check(path, state.acknowledged)
            except Exception as exc:
                raise AssertionError(f'{exc}\n{state}') from exc
            shutil.rmtree(path)
        return number

    def _moments(self, draw: random.Random) -> Iterator[Iterator[State]]:
        disk = disk_.Disk(self._root)
        for event in self._before:
            disk.apply(event)
        yield _states(disk, 0, 'the start', draw)
        for calls, (text, event) in enumerate(self._events, 1):
            disk.apply(event)
            yield _states(disk, calls, text, draw)

    def _snapshot(self, path: str, directory: disk_.Directory) -> None:
        with os.scandir(path) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                node = self._new(found)
                self._before.append(disk_.Name(directory, entry.name, node))
                if isinstance(node, disk_.Directory):
                    self._snapshot(entry.path, node)
                else:
                    data = pathlib.Path(entry.path).read_bytes()
                    self._before.append(disk_.Write(node, 0, data))
                    self._before.append(disk_.Sync(node))
        self._before.append(disk_.Sync(directory))

    def _intercept(
        self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        note = getattr(self, f'_note_{name}', None)
        if note is None:
            return real(*args, **kwargs)
        # One at a time: what is noted first was done first.
        with self._lock:
            result = real(*args, **kwargs)
            text = ' '.join(str(arg) for arg in args if not _big(arg))
            self._events.append((f'{name} {text}', note(result, *args)))
            return result

    def _note_create(
        self, fd: int, directory: int, name: str, mode: int
    ) -> disk_.Event:
        node = self._new(os.fstat(fd))
        return disk_.Name(self._directory(directory), name, node)

    def _note_mkdir(
        self, result: None, parent: int, name: str, mode: int
    ) -> disk_.Event:
        node = self._new(_lstat(parent, name))
        return disk_.Name(self._directory(parent), name, node)

    def _note_link(
        self, result: None, directory: int, name: str, new_name: str
    ) -> disk_.Event:
        node = self._nodes[_key(_lstat(directory, new_name))]
        return disk_.Name(self._directory(directory), new_name, node)

    def _note_unlink(
        self, result: None, directory: int, name: str
    ) -> disk_.Event:
        return disk_.Name(self._directory(directory), name, None)

    _note_rmdir = _note_unlink

    def _note_pwritev(
        self, done: int, fd: int, buffers: Sequence[bytes], offset: int
    ) -> disk_.Event:
        node = self._nodes[_key(os.fstat(fd))]
        return disk_.Write(node, offset, b''.join(buffers)[:done])

    def _note_fsync(self, result: None, fd: int) -> disk_.Event:
        return disk_.Sync(self._nodes[_key(os.fstat(fd))])

    def _new(self, found: os.stat_result) -> disk_.Node:
        """Return a new node; its inode's number may have been another's."""
        is_directory = stat.S_ISDIR(found.st_mode)
        node = disk_.Directory() if is_directory else disk_.Node()
        self._nodes[_key(found)] = node
        return node

    def _directory(self, fd: int) -> disk_.Directory:
        node = self._nodes[_key(os.fstat(fd))]
        assert isinstance(node, disk_.Directory)
        return node


def _states(
    disk: disk_.Disk, calls: int, text: str, draw: random.Random
) -> Iterator[State]:
    moment = disk.moment()
    acknowledged = tuple(disk.acknowledged)
    own_draw = random.Random(draw.random())
    return (
        State(calls, text, tree, acknowledged)
        for tree in moment.trees(own_draw)
    )


def _take_turns(moments: list[Iterator[State]]) -> Iterator[State]:
    """Yield a new state of each moment in turn until none has any."""
    seen = set()
    while moments:
        left = []
        for moment in moments:
            for state in itertools.islice(moment, _PATIENCE):
                # Promises only ever grow in number.
                key = len(state.acknowledged), frozenset(state.tree.items())
                if key not in seen:
                    seen.add(key)
                    yield state
                    left.append(moment)
                    break
        moments = left


def _big(arg: object) -> bool:
    return not isinstance(arg, str | int)


def _key(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _lstat(directory: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=directory, follow_symlinks=False)

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


"""A model of what a file system has in memory and what on its disk.

It promises what POSIX promises and no more: a file's bytes are on the disk
after fsync of the file, a name after fsync of its directory, and before
that each of them is there or not, in any order and in parts. Real file
systems promise more, each something else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
import dataclasses
import itertools
import math
import random

#: Sectors and pages: where the disk and the kernel tear a write.
_TEARS = (512, 4096)
#: A long write is cut at pages into at most so many, each with its fate.
_PIECES = 8
#: Up to here all the states of one moment are enumerated, not drawn.
_EXHAUSTIVE = 4096

#: What is below the root: paths of files with their bytes, and paths of
#: directories with None.
Tree = Mapping[str, bytes | None]


class Node:
    """A file or a directory, whatever its names."""


class Directory(Node):
    """A directory."""


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """A call that gave a name to a node, or took it away."""

    directory: Directory
    name: str
    node: Node | None


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """A call that wrote bytes."""

    node: Node
    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Sync:
    """A call that made a node durable as it then was."""

    node: Node


@dataclasses.dataclass(frozen=True, slots=True)
class Acknowledge:
    """A promise to somebody outside, who relies on it from then on."""

    token: object


Event = Name | Write | Sync | Acknowledge


@dataclasses.dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a write: which bytes stay, and whether the size."""

    start: int
    stop: int
    grows: bool


def fates(length: int) -> list[Fate]:
    """Return what may become of a write, from all lost to all kept."""
    middle = length // 2 // _TEARS[0] * _TEARS[0]
    tears = sorted({tear for tear in (*_TEARS, middle) if 0 < tear < length})
    return [
        Fate(0, 0, grows=False),
        Fate(0, 0, grows=True),
        *(Fate(0, tear, grows=False) for tear in tears),
        *(Fate(0, tear, grows=True) for tear in tears),
        *(Fate(tear, length, grows=True) for tear in tears),
        Fate(0, length, grows=True),
    ]


class Disk:
    """What is durable, and what else may be."""

    def __init__(self, root: Directory) -> None:
        self.root = root
        self.acknowledged: list[object] = []
        self._data: dict[Node, bytes] = {}
        self._names: dict[Node, dict[str, Node | None]] = {}
        self._writes: dict[Node, list[Write]] = {}
        self._renamed: dict[Node, dict[str, list[Node | None]]] = {}

    def apply(self, event: Event) -> None:
        """Let one call happen."""
        if isinstance(event, Acknowledge):
            self.acknowledged.append(event.token)
        elif isinstance(event, Write):
            self._writes.setdefault(event.node, []).extend(_pieces(event))
        elif isinstance(event, Name):
            pending = self._renamed.setdefault(event.directory, {})
            pending.setdefault(event.name, []).append(event.node)
        else:
            self._sync(event.node)

    def _sync(self, node: Node) -> None:
        data = self._data.get(node, b'')
        for write in self._writes.pop(node, ()):
            whole = Fate(0, len(write.data), grows=True)
            data = _written(data, write, whole)
        self._data[node] = data
        names = self._names.setdefault(node, {})
        for name, nodes in self._renamed.pop(node, {}).items():
            names[name] = nodes[-1]

    def moment(self) -> Moment:
        """Return what a power cut may leave of the disk as it is now."""
        names = {node: dict(known) for node, known in self._names.items()}
        return Moment(
            root=self.root,
            names=names,
            data=dict(self._data),
            name_axes=[
                (
                    directory,
                    name,
                    [names.get(directory, {}).get(name), *nodes],
                )
                for directory, renamed in self._renamed.items()
                for name, nodes in renamed.items()
            ],
            write_axes=[
                (write, fates(len(write.data)))
                for writes in self._writes.values()
                for write in writes
            ],
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """One moment of a disk: what is durable, and the axes of chance.

    An axis lists what may become of one name or of one write, from lost
    to kept; a choice is an index into each axis.
    """

    root: Directory
    names: Mapping[Node, Mapping[str, Node | None]]
    data: Mapping[Node, bytes]
    name_axes: Sequence[tuple[Node, str, Sequence[Node | None]]]
    write_axes: Sequence[tuple[Write, Sequence[Fate]]]

    def trees(self, draw: random.Random) -> Generator[Tree, None, None]:
        """Yield the trees that a power cut may leave.

        First the plain ones: all lost, all kept, one thing lost, one thing
        kept, two things lost; then all the others, or random ones without
        end where there are too many. A tree may come more than once.
        """
        axes = [len(nodes) for _, _, nodes in self.name_axes]
        axes += [len(options) for _, options in self.write_axes]
        yield from map(self.tree, _plain(axes))
        if math.prod(axes) <= _EXHAUSTIVE:
            choices = [*itertools.product(*map(range, axes))]
            draw.shuffle(choices)
            yield from map(self.tree, choices)
            return
        while True:
            yield self.tree([draw.randrange(size) for size in axes])

    def tree(self, choice: Sequence[int]) -> Tree:
        """Return the tree that a choice leaves."""
        names = {node: dict(known) for node, known in self.names.items()}
        data = dict(self.data)
        chosen = iter(choice)
        for directory, name, nodes in self.name_axes:
            names.setdefault(directory, {})[name] = nodes[next(chosen)]
        for write, options in self.write_axes:
            before = data.get(write.node, b'')
            data[write.node] = _written(before, write, options[next(chosen)])
        found: dict[str, bytes | None] = {}
        _collect(self.root, '', names, data, found)
        return found


def _pieces(write: Write) -> Iterator[Write]:
    page = _TEARS[-1]
    pages = -(-len(write.data) // page)
    step = -(-pages // _PIECES) * page
    at = 0
    while at < len(write.data):
        # The first may end at a page of the file, the others then do.
        stop = at + step - (write.offset + at) % page
        yield Write(write.node, write.offset + at, write.data[at:stop])
        at = stop


def _collect(
    directory: Node,
    path: str,
    names: Mapping[Node, Mapping[str, Node | None]],
    data: Mapping[Node, bytes],
    found: dict[str, bytes | None],
) -> None:
    for name, node in names.get(directory, {}).items():
        if node is None:
            continue
        below = f'{path}/{name}' if path else name
        if isinstance(node, Directory):
            found[below] = None
            _collect(node, below, names, data, found)
        else:
            found[below] = data.get(node, b'')


def _written(data: bytes, write: Write, fate: Fate) -> bytes:
    """Return a file's bytes after a write of which this became."""
    stop = write.offset + fate.stop
    if fate.grows:
        end = max(len(data), write.offset + len(write.data))
    else:
        end = max(len(data), stop if fate.stop > fate.start else 0)
    after = bytearray(data.ljust(end, b'\0'))
    after[write.offset + fate.start : stop] = write.data[
        fate.start : fate.stop
    ]
    return bytes(after)


def _plain(axes: Sequence[int]) -> Iterator[list[int]]:
    """Yield choices that differ little from all lost or all kept."""
    lost = [0] * len(axes)
    kept = [size - 1 for size in axes]
    yield lost
    yield kept
    for base in (kept, lost):
        for axis, size in enumerate(axes):
            for option in range(size):
                choice = [*base]
                choice[axis] = option
                yield choice
    for first, second in itertools.combinations(range(len(axes)), 2):
        choice = [*kept]
        choice[first] = choice[second] = 0
        yield choice

# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What the model is made of: objects, rows, calls and names."""

from __future__ import annotations

from collections.abc import Callable, Generator
import dataclasses
import enum
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec('P')
T = TypeVar('T')


class Violation(AssertionError):
    """Say that the protocol broke one of its promises."""


class State(enum.Enum):
    """Tell how far a run has come."""

    RUNNING = 'running'
    COMMITTING = 'committing'
    AVAILABLE = 'available'
    ABORTING = 'aborting'
    ABORTED = 'aborted'
    DELETING = 'deleting'
    DELETED = 'deleted'


@dataclasses.dataclass(frozen=True, slots=True)
class Pack:
    """Hold chunks; the model knows a chunk by its digest."""

    digests: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Index:
    """Tell what each pack of one attempt holds."""

    packs: tuple[tuple[str, tuple[str, ...]], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """Name what a backup needs: digests, packs, and the packs' indexes."""

    digests: tuple[str, ...]
    packs: tuple[str, ...]
    indexes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Tombstone:
    """Hold a manifest's name, so that no manifest can come there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Moved:
    """Tell where the chunks of a pack are that is gone, or will be."""

    digests: tuple[str, ...]
    pack: str
    index: str


Body = Pack | Index | Manifest | Tombstone | Moved


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Tell where a chunk was seen: one line of a host's cache of indexes."""

    digest: str
    pack: str
    index: str


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Hold what the catalog knows of a run.

    `document` is the manifest as the commit fixed it. `strays` are the
    attempts that passed the commit, were overtaken by somebody, and have
    not been heard of since: each of them may still put the manifest.
    `overtaken` says that a run past its commit was ever taken over, and
    `deleter` who began the last delete of the backup. A `mover` is a run
    that makes no backup, but moves packs: it owns those that it makes.
    """

    state: State
    attempt: str
    document: Manifest | None = None
    strays: frozenset[str] = frozenset()
    overtaken: bool = False
    deleter: str = ''
    mover: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """Name one call that an actor is about to make."""

    method: str
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...] = ()


Steps = Generator[Call, Any, T]


def ask(
    method: Callable[Concatenate[Any, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Steps[T]:
    """Make one call of the world, as one step of an actor."""
    reply: T = yield Call(method.__name__, args, tuple(kwargs.items()))
    return reply


def is_commit(call: Call) -> bool:
    """Tell whether a call is about to put a manifest."""
    return call.method in ('put', 'write') and isinstance(
        call.arguments[1], Manifest
    )


def owner(name: str) -> int:
    """Tell which run an object belongs to."""
    return int(name.split('/', 1)[0])


def manifest_name(number: int) -> str:
    """Name a run's manifest, and its tombstone."""
    return f'{number}/manifest'


def moved_name(pack: str) -> str:
    """Name what a pack leaves that has moved."""
    return f'{pack}.moved'


def index_name(number: int, attempt: str) -> str:
    """Name the index of one attempt of a run."""
    return f'{number}/index-{attempt}'


def pack_name(number: int, attempt: str, serial: int) -> str:
    """Name a pack of one attempt of a run."""
    return f'{number}/{attempt}-{serial}'

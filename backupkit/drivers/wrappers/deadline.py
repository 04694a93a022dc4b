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


"""A store whose calls are given up when they do not come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
import itertools
from typing import TypeVar

from backupkit.drivers import patience as patience_
from backupkit.drivers import store
from backupkit.drivers.wrappers import base
from backupkit import errors

#: Objects of a listing that are fetched in one call.
LISTED_AT_ONCE = 256
#: A name that is asked for only to see whether there is an answer.
_ANY_NAME = 'config'

T = TypeVar('T')


class Deadline(base.StoreWrapper):
    """Give up a call that takes longer than its target may.

    After :class:`backupkit.errors.TargetStalled` the memory of the call's
    parts or buffers must not be used again.

    :param inner: the store that may hang
    :param patience: how long a call may take
    :param check: raises where a call need not be waited for any more,
        because the run stops
    """

    def __init__(
        self,
        inner: store.Store,
        patience: patience_.Patience,
        check: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(inner)
        self._patience = patience
        self._check = check

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Put in time."""
        self._call(f'put {name}', lambda: self.inner.put(name, parts))

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Get in time."""
        return self._call(
            f'get {name}', lambda: self.inner.get(name, offset, length)
        )

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Get in time."""
        self._call(
            f'get {name}', lambda: self.inner.get_into(name, offset, buffers)
        )

    def stat(self, name: str) -> store.ObjectStat:
        """Stat in time."""
        return self._call(f'stat {name}', lambda: self.inner.stat(name))

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """List, some objects at a time, each time in time."""
        what = f'list {prefix}*'
        listing = self._call(what, lambda: iter(self.inner.list(prefix)))
        while found := self._call(
            what, lambda: tuple(itertools.islice(listing, LISTED_AT_ONCE))
        ):
            yield from found

    def delete(self, name: str) -> None:
        """Delete in time."""
        self._call(f'delete {name}', lambda: self.inner.delete(name))

    def delete_many(self, names: Sequence[str]) -> None:
        """Delete, some objects at a time, each time in time."""
        waiting = iter(names)
        while batch := tuple(itertools.islice(waiting, LISTED_AT_ONCE)):
            self._call(
                f'delete {len(batch)} objects',
                functools.partial(self.inner.delete_many, batch),
            )

    @contextlib.contextmanager
    def make_file(self, name: str) -> Iterator[int]:
        """Make a file in time; what its user does with it is not counted.

        To make it durable takes as long as it takes, for as long as the
        store answers meanwhile.
        """
        what = f'make {name}'
        lending = self.inner.make_file(name)
        fd = self._call(what, lending.__enter__)
        try:
            yield fd
        except BaseException as exc:
            told = (type(exc), exc, exc.__traceback__)
            self._call(what, lambda: lending.__exit__(*told))
            raise
        self._patience.call(
            what,
            lambda: lending.__exit__(None, None, None),
            check=self._check,
            alive=self._answer,
        )

    @contextlib.contextmanager
    def open_file(self, name: str) -> Iterator[int]:
        """Open a file in time."""
        lending = self.inner.open_file(name)
        fd = self._call(f'open {name}', lending.__enter__)
        try:
            yield fd
        finally:
            self._call(
                f'close {name}', lambda: lending.__exit__(None, None, None)
            )

    def sweep(self) -> int:
        """Sweep, for as long as the store answers meanwhile."""
        return self._patience.call(
            'sweep', self.inner.sweep, check=self._check, alive=self._answer
        )

    def close(self) -> None:
        """Close in time."""
        self._call('close', self.inner.close)

    def _answer(self) -> None:
        """Return when the store answers, whatever it says."""
        with contextlib.suppress(errors.BackupkitError):
            self.inner.stat(_ANY_NAME)

    def _call(self, what: str, function: Callable[[], T]) -> T:
        return self._patience.call(what, function, check=self._check)

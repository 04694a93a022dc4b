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

"""Where index segments lie on this host.

A directory holds segments (see :mod:`backupkit.repository.index`) and one
list of them, ``segments.json``, replaced atomically under a lock, so that
processes share it. The list says which owners' indexes are in a segment,
and of which parts they were made. Small segments are merged, so that a
search looks at few of them. What is damaged or missing is taken off the
list, and what cannot be written stays in memory: a cache can cost time,
never data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import fcntl
import json
import logging
import mmap
import os
import pathlib
import re
import secrets
import time

from backupkit import errors
from backupkit.repository import frame
from backupkit.repository import index
from backupkit.repository import merging

LOG = logging.getLogger(__name__)

#: Index parts of one owner: attempt and how many.
Parts = Mapping[str, int]

_LIST = 'segments.json'
_NAME = re.compile(r'[0-9a-f]{16}\.idx')

_OURS = re.compile(r'[0-9a-f]{16}\.idx|\.[0-9a-f]{8}')

#: A file that is not listed for so long is not about to be.
_LEFT_SECONDS = 86_400.0

#: Stands in the list for owners whose indexes are empty.
_NOTHING = ''

#: Names of segments, each with the owners in it.
_Listed = dict[str, dict[str, Parts]]


class DiskShelf:
    """Segments in a directory that processes may share.

    ``owners`` are those whose whole index is here.

    :param path: the directory, made where it is missing
    :raises OSError: it cannot be used
    """

    def __init__(self, path: pathlib.Path, digest_name: str) -> None:
        make_directory(path)
        self._path = path
        self._digest = digest_name
        self._opened: dict[str, index.Segment] = {}
        # What could not be written.
        self._loose: list[index.Segment] = []
        self._loose_owners: dict[str, Parts] = {}
        self._pending: _Listed = {}
        self.segments: list[index.Segment] = []
        self.owners: dict[str, Parts] = {}
        if self._sync(self._listed()):
            with self._locked():
                self._clean(self._listed())

    def close(self) -> None:
        """Let go of the mapped files."""
        self.segments = []
        self._opened = {}
        self._loose = []

    def add(self, owner: str, parts: Parts, segments: Iterable[bytes]) -> None:
        """Take the whole index of one owner; :meth:`save` makes it last.

        Nothing is taken where ``segments`` raises an error.
        """
        opened: dict[str, index.Segment] = {}
        loose: list[index.Segment] = []
        try:
            for data in segments:
                self._take(data, opened, loose)
        except BaseException:
            self._unlink(opened)
            raise
        if loose:
            # A part of an index is worse than none.
            self._unlink(opened)
            self._loose += [*opened.values(), *loose]
            self._loose_owners[owner] = parts
        else:
            self._opened |= opened
            for name in opened or (_NOTHING,):
                self._pending.setdefault(name, {})[owner] = parts
        self.segments += [*opened.values(), *loose]
        self.owners[owner] = parts

    def _take(
        self,
        data: bytes,
        opened: dict[str, index.Segment],
        loose: list[index.Segment],
    ) -> None:
        try:
            name = self._write([data])
            opened[name] = self._open(name)
        except OSError as exc:
            LOG.warning('the index cache %s: %s', self._path, exc)
            loose.append(index.Segment(data))
        else:
            self._compact(opened)

    def _compact(self, opened: dict[str, index.Segment]) -> None:
        """Merge while an index comes: each mapped file costs a descriptor."""
        for names in merging.groups(opened):
            segments = [opened[name] for name in names]
            try:
                merged = self._write(merging.merged(segments, self._digest))
                opened[merged] = self._open(merged)
            except OSError as exc:
                LOG.warning('the index cache %s: %s', self._path, exc)
                return
            for name in names:
                del opened[name]
            self._unlink(names)

    def save(self) -> None:
        """Add what is new to the list, merging where it pays."""
        if not self._pending:
            return
        try:
            with self._locked():
                self._save()
        except OSError as exc:
            LOG.warning('the index cache %s: %s', self._path, exc)

    def _save(self) -> None:
        listed = self._listed()
        self._clean(listed)
        known = {one for owners in listed.values() for one in owners}
        for name, owners in self._pending.items():
            if known.isdisjoint(owners):
                listed.setdefault(name, {}).update(owners)
        dropped = self._merge(listed)
        self._replace_list(listed)
        self._unlink({*dropped, *self._pending} - listed.keys())
        self._sweep(listed)
        self._pending = {}
        self._sync(listed)

    def _sweep(self, listed: _Listed) -> None:
        """Remove what processes that died have left."""
        before = time.time() - _LEFT_SECONDS
        for path in self._path.iterdir():
            if path.name in listed or not _OURS.fullmatch(path.name):
                continue
            # Another process may be removing its own.
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < before:
                    path.unlink()

    def _clean(self, listed: _Listed) -> None:
        """Take what is damaged or missing off the list, under the lock."""
        if bad := self._sync(listed):
            self._replace_list(listed)
            self._unlink(bad)

    def _listed(self) -> _Listed:
        """Return the list; empty where it is missing or damaged."""
        try:
            listed = json.loads((self._path / _LIST).read_bytes())
            for name, owners in listed.items():
                if name != _NOTHING and not _NAME.fullmatch(name):
                    raise ValueError(f'{name[:40]!r} is no segment')
                if not isinstance(owners, dict):
                    raise TypeError('a segment has no owners')
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, TypeError) as exc:
            LOG.warning('the index cache %s is dropped: %s', self._path, exc)
            return {}
        return dict(listed)

    def _replace_list(self, listed: _Listed) -> None:
        temporary = self._path / f'.{secrets.token_hex(4)}'
        temporary.write_text(json.dumps(listed))
        temporary.chmod(0o660)
        temporary.replace(self._path / _LIST)

    def _sync(self, listed: _Listed) -> list[str]:
        """Have open what is listed and what is to be.

        :returns: what is damaged or missing, and not in ``listed`` any more:
            another process may have merged it, unless the lock is held
        """
        opened = {}
        bad = []
        for name in {**listed, **self._pending}:
            if name == _NOTHING:
                continue
            try:
                opened[name] = self._opened.get(name) or self._open(name)
            except (errors.FormatError, ValueError, FileNotFoundError) as exc:
                LOG.warning('a segment of the index cache: %s', exc)
                bad.append(name)
                listed.pop(name, None)
        self._opened = opened
        self.segments = [*opened.values(), *self._loose]
        self.segments.sort(key=lambda one: -one.count)
        self.owners = dict(self._loose_owners)
        for owners in [*listed.values(), *self._pending.values()]:
            self.owners.update(owners)
        return bad

    def _open(self, name: str) -> index.Segment:
        with (self._path / name).open('rb') as file:
            frame.check_file(frame.INDEX, file.fileno(), name)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return index.Segment(mapped)

    def _write(self, parts: Iterable[bytes]) -> str:
        name = f'{secrets.token_hex(8)}.idx'
        try:
            with (self._path / name).open('xb') as file:
                os.fchmod(file.fileno(), 0o660)
                for part in parts:
                    file.write(part)
        except BaseException:
            self._unlink([name])
            raise
        return name

    def _unlink(self, names: Iterable[str]) -> None:
        for name in names:
            if name != _NOTHING:
                (self._path / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._path / 'lock').open('ab') as file:
            with contextlib.suppress(PermissionError):
                os.fchmod(file.fileno(), 0o660)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _merge(self, listed: _Listed) -> list[str]:
        """Replace segments of one magnitude by one, where there are many."""
        mine = {
            name: self._opened[name] for name in listed.keys() & self._opened
        }
        dropped: list[str] = []
        for names in merging.groups(mine):
            segments = [mine[name] for name in names]
            merged = self._write(merging.merged(segments, self._digest))
            owners = [listed.pop(name).items() for name in names]
            listed[merged] = {who: what for one in owners for who, what in one}
            dropped += names
        return dropped


def make_directory(path: pathlib.Path) -> None:
    """Make a directory of indexes, and the one above, where missing."""
    for made in (path.parent, path):
        if not made.is_dir():
            made.mkdir(parents=True, exist_ok=True)
            made.chmod(0o770)

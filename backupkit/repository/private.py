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

"""Indexes that a process keeps for itself, and only while it runs."""

from __future__ import annotations

from collections.abc import Iterable
import logging
import mmap
import pathlib
import tempfile

from backupkit.repository import index
from backupkit.repository import merging
from backupkit.repository import shelf

LOG = logging.getLogger(__name__)


class PrivateShelf:
    """Segments that this process alone has, and that end with it.

    They lie in files without names, so that a process that is killed
    leaves none, and are merged as they come.

    :param path: directory of the files; None keeps all in memory
    """

    def __init__(self, path: pathlib.Path | None, digest_name: str) -> None:
        self._path = path
        self._digest = digest_name
        self.segments: list[index.Segment] = []
        self.owners: dict[str, shelf.Parts] = {}

    def add(
        self, owner: str, parts: shelf.Parts, segments: Iterable[bytes]
    ) -> None:
        """Take the whole index of one owner.

        Nothing is taken where ``segments`` raises an error.
        """
        taken: list[index.Segment] = []
        for data in segments:
            taken = self._merge([*taken, self._keep(data)])
        self.segments = self._merge([*self.segments, *taken])
        self.owners[owner] = parts

    def save(self) -> None:
        """Do nothing: it does not last."""

    def close(self) -> None:
        """Let go of all."""
        self.segments = []

    def _keep(self, data: bytes) -> index.Segment:
        try:
            return self._write([data])
        except OSError as exc:
            LOG.warning('indexes stay in memory: %s: %s', self._path, exc)
            return index.Segment(data)

    def _write(self, pieces: Iterable[bytes]) -> index.Segment:
        if self._path is None:
            return index.Segment(b''.join(pieces))
        shelf.make_directory(self._path)
        with tempfile.TemporaryFile(dir=self._path) as file:
            file.writelines(pieces)
            file.flush()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return index.Segment(mapped)

    def _merge(self, segments: list[index.Segment]) -> list[index.Segment]:
        """Merge where there are many of a magnitude, small ones first."""
        left = dict(enumerate(segments))
        while groups := merging.groups(left):
            group = groups[0]
            pieces = merging.merged([left[at] for at in group], self._digest)
            try:
                left[group[0]] = self._write(pieces)
            except OSError as exc:
                LOG.warning('indexes are not merged: %s', exc)
                break
            for at in group[1:]:
                del left[at]
        return list(left.values())

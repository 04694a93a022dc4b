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

"""The directory that the image files lie below."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os

from backupkit import errors
from backupkit_plugins import filesystem
from backupkit_plugins.volumes.file import paths


class ImageDirectory:
    """The option ``volumes_dir`` of a backend.

    :param root: empty where there are no image files
    """

    def __init__(self, backend: str, root: str) -> None:
        self._section = f'[backend:{backend}]'
        self._root = root

    def check(self) -> None:
        """Make sure that it can be read.

        :raises errors.ConfigurationError: it cannot
        """
        problem = ''
        if not os.path.isabs(self._root):
            problem = 'is not absolute'
        else:
            try:
                with os.scandir(self._root):
                    pass
            except OSError as exc:
                problem = f'cannot be read: {exc.strerror}'
        if problem:
            raise errors.ConfigurationError(
                f'{self._section} volumes_dir {self._root} {problem}'
            )

    def identity(self) -> str:
        """Return the id of the file system.

        :raises errors.SourceError: it cannot be opened
        """
        try:
            return filesystem.identity(self._root)
        except OSError as exc:
            raise errors.SourceError(
                f'{self._root} cannot be opened: {exc.strerror}'
            ) from exc

    @contextlib.contextmanager
    def place(
        self, volume_id: str, *, create: bool = False
    ) -> Iterator[tuple[int, str]]:
        """Yield the directory of an image file, and its name there.

        :param create: make what is missing above it
        :raises errors.SourceError: what was met there, or in the block
        """
        *above, name = paths.components(volume_id)
        if not self._root:
            raise errors.VolumeNotFound(f'{self._section} has no volumes_dir')
        try:
            with paths.directory(self._root, above, create=create) as fd:
                yield fd, name
        except OSError as exc:
            raise paths.explain(volume_id, exc) from exc

    @contextlib.contextmanager
    def opened(self, volume_id: str, flags: int) -> Iterator[int]:
        """Open an image file, until the block is left.

        :raises errors.SourceError: as :meth:`place`
        """
        with (
            self.place(volume_id) as (directory, name),
            paths.opened(directory, name, flags) as fd,
        ):
            yield fd

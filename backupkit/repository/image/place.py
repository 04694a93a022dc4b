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

"""Where images are kept, whatever that is made of."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import logging

from backupkit.copy import raw
from backupkit.drivers import opened as opened_
from backupkit import model
from backupkit.repository.image import digests
from backupkit.repository.image import manifest as manifest_
from backupkit.repository.image import reader as reader_
from backupkit.repository import tree

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A committed backup that is open for reading."""

    manifest: manifest_.ImageManifest
    summary: model.BackupSummary
    reader: reader_.ImageReader


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """A new image and its digest tree, open for writing.

    ``cloned`` says that it holds what its parent's does; ``flush`` makes
    durable what was written.
    """

    data: raw.RawWriter
    file: digests.TreeFile
    cloned: bool
    flush: Callable[[], None]


class Place(abc.ABC):
    """Where images are kept."""

    #: What tells backups here from those of other places.
    repository_id: str

    @property
    def attempt(self) -> str:
        """What names the files of the image that is made, if anything."""
        return ''

    @abc.abstractmethod
    def read(self, backup_id: str) -> contextlib.AbstractContextManager[Kept]:
        """Lend a committed backup, to be read.

        :raises errors.NotFound: there is none
        :raises errors.IntegrityError: it is damaged
        """

    @contextlib.contextmanager
    def open_backup(self, backup_id: str) -> Iterator[opened_.OpenedBackup]:
        """Lend a committed backup, as :meth:`read` does, to be copied.

        Warned of where nothing can tell whether its bytes are right.
        """
        with self.read(backup_id) as kept:
            if kept.reader.map is None:
                LOG.warning(
                    'backup %s was never verified: what is read cannot be '
                    'checked',
                    backup_id,
                )
            yield opened_.OpenedBackup(
                kept.summary,
                kept.reader,
                kept.manifest.chunk_bytes,
                kept.manifest.volume_format,
                kept.manifest.volume_properties,
            )

    @abc.abstractmethod
    def make(
        self,
        backup_id: str,
        geometry: tree.Geometry,
        digest_name: str,
        clone_of: Kept | None,
    ) -> contextlib.AbstractContextManager[Made]:
        """Lend a new image of this size; when it is given back it is there.

        What an interrupted attempt of the same run had made is in no way of
        it.

        :param clone_of: a backup of the same size, to be cloned if that can
            be done here
        """

    @abc.abstractmethod
    def placed(self, summary: model.BackupSummary) -> model.BackupSummary:
        """Return a summary that tells where the backup is."""

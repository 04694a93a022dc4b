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


"""How the volume of a backup is opened for its target to read."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import itertools
import logging
from typing import Self

from backupkit import catalog as catalog_
from backupkit.copy import interface
from backupkit.copy import opening
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import checkpoints
from backupkit.flows import faults
from backupkit import model

LOG = logging.getLogger(__name__)


class Source(contextlib.ExitStack):
    """An attached volume; the readers it opened are closed with it."""

    def __init__(
        self,
        driver: volume_.VolumeDriver,
        attachment: model.Attachment,
        catalog: catalog_.Catalog,
    ) -> None:
        super().__init__()
        self._driver = driver
        self._attachment = attachment
        self._catalog = catalog

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def open(self, parent_id: str | None) -> interface.Reader:
        """Open the volume, as :data:`backupkit.drivers.target.OpenReader`.

        :raises errors.NotSupported: the volume's format cannot be read
        """
        with faults.attributed(self._driver):
            changed = self._since(parent_id) if parent_id else None
            known = changed or self._known()
        extents = None if known is None else self._attributed(known)
        reader = opening.open_reader(self._attachment, extents)
        reader.tells_changes = changed is not None
        return self.enter_context(contextlib.closing(reader))

    def _attributed(
        self, extents: Iterator[model.Extent]
    ) -> Iterator[model.Extent]:
        with faults.attributed(self._driver):
            yield from extents

    def _since(self, parent_id: str) -> Iterator[model.Extent] | None:
        """Return what changed since a backup, where that is known."""
        if not self._driver.check().changed_extents:
            return None
        parent = self._catalog.backup(parent_id)
        try:
            return self._changed(parent)
        except errors.CheckpointLost as exc:
            LOG.log(self._level(parent), 'reading all of it: %s', exc)
        except errors.NotSupported as exc:
            LOG.debug('reading all of it: %s', exc)
        return None

    def _known(self) -> Iterator[model.Extent] | None:
        """Return what is known of the volume's bytes.

        None where the reader of its format finds that out by itself.
        """
        if self._attachment.format != 'raw':
            return None
        return self._driver.extents(self._attachment)

    def _level(self, parent: catalog_.BackupRow) -> int:
        """Return how loud to tell it: a checkpoint that was kept is lost."""
        volume = model.VolumeRef(self._driver.name, parent.volume_id)
        name = model.derived_name(parent.backup_id)
        kept = checkpoints.retained(self._catalog, volume)
        if any(entry.name == name for entry in kept):
            return logging.WARNING
        return logging.INFO

    def _changed(self, parent: catalog_.BackupRow) -> Iterator[model.Extent]:
        checkpoint = model.Checkpoint(
            backup_id=parent.backup_id,
            volume_id=parent.volume_id,
            generation=parent.volume_generation,
            size_bytes=parent.size_bytes,
        )
        extents = self._driver.changed_extents(self._attachment, checkpoint)
        # Whether the checkpoint still stands is told with the first one.
        return itertools.chain([*itertools.islice(extents, 1)], extents)

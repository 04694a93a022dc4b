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
from backupkit.copy import raw
from backupkit.drivers import volume as volume_
from backupkit import errors
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

        :raises errors.NotSupported: the volume is not raw
        """
        if self._attachment.format != 'raw':
            raise errors.NotSupported(
                f'{self._attachment.path} has the format '
                f'{self._attachment.format}: only raw volumes can be read'
            )
        return self.enter_context(
            raw.RawReader(
                self._attachment.path,
                self._attachment.size_bytes,
                self._extents(parent_id),
            )
        )

    def _extents(self, parent_id: str | None) -> Iterator[model.Extent]:
        """Yield what is known of the volume's bytes."""
        with faults.attributed(self._driver):
            yield from self._known(parent_id)

    def _known(self, parent_id: str | None) -> Iterator[model.Extent]:
        if parent_id and self._driver.check().changed_extents:
            try:
                return self._changed(parent_id)
            except errors.CheckpointLost as exc:
                LOG.info('reading all of the volume: %s', exc)
        return self._driver.extents(self._attachment)

    def _changed(self, parent_id: str) -> Iterator[model.Extent]:
        parent = self._catalog.backup(parent_id)
        checkpoint = model.Checkpoint(
            backup_id=parent.backup_id,
            volume_id=parent.volume_id,
            generation=parent.volume_generation,
            size_bytes=parent.size_bytes,
        )
        extents = self._driver.changed_extents(self._attachment, checkpoint)
        # Whether the checkpoint still stands is told with the first one.
        return itertools.chain([next(extents)], extents)

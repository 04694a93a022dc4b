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

"""The files of a volume as they really lie over one another.

Cinder's document names the files; only the headers of the overlays tell
their order, and after a crash they alone are right. So the order is read
from them, each name is looked for among those on record, and then the whole
chain is checked against what was found.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from backupkit.copy.qcow2 import chain
from backupkit.copy.qcow2 import header
from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import names
from backupkit_plugins.volumes.nfs import records


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """A volume as its files are now.

    :ivar links: the file in use first, then what backs it
    :ivar sizes: the virtual size of each of them
    :ivar info: what Cinder's document says, or would say
    :ivar stale: snapshots on record of which there are no bytes
    """

    volume_id: str
    links: tuple[model.Link, ...]
    sizes: tuple[int, ...]
    info: records.Info
    stale: Mapping[str, str]
    record: records.Record | None
    generation: str

    @property
    def active(self) -> model.Link:
        """The file that is written."""
        return self.links[0]

    @property
    def size_bytes(self) -> int:
        """The size of the volume."""
        return self.sizes[0]

    @property
    def snapshots(self) -> list[str]:
        """The names of the snapshots whose bytes are there, oldest first."""
        there = self.info.snapshots.items() - self.stale.items()
        by_file = {file: name for name, file in there}
        files = (link.name for link in reversed(self.links))
        return [by_file[file] for file in files if file in by_file]

    def below(self, snapshot: str) -> int:
        """Return the place in the chain where the snapshot's bytes begin.

        :raises errors.VolumeNotFound: there is no such snapshot
        """
        file = self.info.snapshots.get(snapshot)
        if file is None or snapshot in self.stale:
            raise errors.VolumeNotFound(
                f'volume {self.volume_id} has no snapshot {snapshot!a}'
            )
        return self.place(file) + 1

    def place(self, file: str) -> int:
        """Return the place of a file in the chain."""
        return [link.name for link in self.links].index(file)


@dataclasses.dataclass(frozen=True, slots=True)
class Formats:
    """What is known of formats where no record of ours tells one.

    :ivar declared: formats of single volumes, by id
    :ivar default: of all others
    """

    declared: Mapping[str, str]
    default: str


def read(files: files_.Files, volume_id: str, formats: Formats) -> State:
    """Find out how the files of a volume lie over one another.

    :raises errors.VolumeNotFound: there is no such volume, or not yet
    :raises errors.SourceError: the files are not what is on record
    """
    record = records.read(files, volume_id)
    info = records.read_info(files, volume_id)
    intent = record and record.intent
    if intent and intent.change is records.Change.DELETE:
        raise _not_found(volume_id)
    base = names.file_of(volume_id)
    if info is None:
        info = records.Info(base, {})
        if files.stat(base) is None:
            raise _not_found(volume_id)
    format_ = formats.declared.get(volume_id) or (record and record.format)
    try:
        links = _walk(files, info, base, format_ or '', formats.default)
        return _state(files, volume_id, info, record, links)
    except (FileNotFoundError, errors.VolumeNotFound) as exc:
        # There is a volume: it must not pass for one that is gone.
        raise errors.SourceError(
            f'an image of volume {volume_id} is missing: {exc}'
        ) from exc


def _not_found(volume_id: str) -> errors.VolumeNotFound:
    return errors.VolumeNotFound(f'there is no volume {volume_id}')


def _walk(
    files: files_.Files,
    info: records.Info,
    base: str,
    known: str,
    default: str,
) -> tuple[model.Link, ...]:
    """Follow the headers from the file in use down to the last one.

    Of the last one alone there may be no record: Cinder keeps none of an
    overlay into which it has merged all that was below.
    """
    recorded = {base, info.active, *info.snapshots.values()}
    links: list[model.Link] = []
    name, told, unknown = info.active, '', False
    while True:
        # An overlay is qcow2; what Cinder has merged into one stays so.
        format_ = 'qcow2'
        if name == base:
            format_ = known or told or default
        links.append(model.Link(name, format_))
        if format_ != 'qcow2':
            break
        with files.opened(name) as fd:
            try:
                found = header.read(fd)
            except errors.SourceError as exc:
                raise errors.SourceError(
                    f'image {name} is refused: {exc}'
                ) from exc
        if not found.backing_file:
            break
        if unknown or not _is_fit(found.backing_file, base, links):
            raise errors.SourceError(
                f'image {name} is refused: it names the backing file '
                f'{found.backing_file!r}, which is not among those on '
                'record below it'
            )
        name, told = found.backing_file, found.backing_format
        unknown = name not in recorded
    return tuple(links)


def _is_fit(name: str, base: str, above: list[model.Link]) -> bool:
    """Tell whether a file may lie below others: it is not one of them."""
    volume_id = names.volume_of(base)
    return (
        volume_id is not None
        and names.is_image(volume_id, name)
        and name not in {link.name for link in above}
    )


def _state(
    files: files_.Files,
    volume_id: str,
    info: records.Info,
    record: records.Record | None,
    links: tuple[model.Link, ...],
) -> State:
    headers = chain.check(files.root, links)
    sizes = []
    inode = 0
    for link, told in zip(links, headers, strict=True):
        found = files.stat(link.name)
        if found is None:
            raise errors.VolumeNotFound(f'image {link.name} does not exist')
        sizes.append(told.size_bytes if told else found.st_size)
        inode = found.st_ino
    # What lies at the bottom is no snapshot's overlay: nothing is below.
    overlays = {link.name for link in links[:-1]}
    stale = {n: f for n, f in info.snapshots.items() if f not in overlays}
    intent = record and record.intent
    if intent and intent.change is records.Change.MERGE:
        # What lies below its overlay is that no more.
        merged = {intent.snapshot: intent.file}
        stale |= dict(merged.items() & info.snapshots.items())
    return State(
        volume_id,
        links,
        tuple(sizes),
        info,
        stale,
        record,
        record.generation if record else f'inode-{inode:x}',
    )

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

"""What a repository target does with backups that are images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
from typing import TYPE_CHECKING

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import opened as opened_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import check
from backupkit.repository.image import create
from backupkit.repository.image import files as files_
from backupkit.repository.image import manifest as manifest_
from backupkit.repository.image import moving
from backupkit.repository.image import reader as reader_
from backupkit.repository import layout
from backupkit.repository import repository as repository_
from backupkit.repository import selection

if TYPE_CHECKING:
    from backupkit.repository import target as front

LAYOUT = manifest_.LAYOUT

is_image = manifest_.is_image

revise = create.revise


def backup(
    target: front.RepositoryTarget,
    repository: repository_.Repository,
    request: model.BackupRequest,
    open_reader: target_.OpenReader,
    coordinator: target_.Coordinator,
    *,
    control: control_.Control,
) -> target_.Prepared:
    """Make one backup as an image; see :meth:`.target_.Target.backup`."""
    if not repository.store.capabilities.files:
        raise errors.ConfigurationError(
            f'[target:{target.name}] layout = image needs a target that '
            'keeps files, and no max_bytes_per_second: take one of the two '
            'out'
        )
    form = create.Form(
        repository.settings.chunk_bytes,
        repository.settings.digest,
        target.section.offload != 'none',
    )
    creation = create.Creation(files_.FilePlace(repository), request, form)
    return creation.run(open_reader, coordinator, _move(target), control)


def _move(target: front.RepositoryTarget) -> pipeline.Move:
    def move(
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
        block_bytes: int,
    ) -> None:
        moving.move(
            target,
            reader,
            writer,
            control,
            block_bytes=block_bytes,
            threads=moving.threads(target.threads, target.budget_bytes),
        )

    return move


def mover(
    target: front.RepositoryTarget, reader: interface.Reader
) -> pipeline.Move | None:
    """Return what moves the bytes of an image; None for another reader."""
    if isinstance(reader, reader_.ImageReader):
        return _move(target)
    return None


def opened(
    repository: repository_.Repository, backup_id: str
) -> contextlib.AbstractContextManager[opened_.OpenedBackup]:
    """Lend an image to be read."""
    return files_.FilePlace(repository).open_backup(backup_id)


def files_of(repository: repository_.Repository, backup_id: str) -> list[str]:
    """Return the files of a committed backup, where it is an image.

    What cannot be read may be one.
    """
    try:
        manifest = repository.any_manifest(backup_id)
    except errors.NotFound:
        return []
    except errors.IntegrityError:
        manifest = None
    if manifest and not isinstance(manifest, manifest_.ImageManifest):
        return []
    return list(_files(repository, backup_id))


def clear_attempts(
    repository: repository_.Repository, prepared: target_.Prepared
) -> None:
    """Remove what attempts of a committed run have left that were killed.

    What is left of it is removed by gc.
    """
    backup_id = prepared.summary.backup_id
    manifest = manifest_.load(prepared.document.encode(), backup_id)
    with contextlib.suppress(errors.TargetError):
        repository.store.delete_many(
            [
                name
                for name in _files(repository, backup_id)
                if not name.endswith(f'-{manifest.attempt}')
            ]
        )


def _files(
    repository: repository_.Repository, backup_id: str
) -> Iterator[str]:
    for stat in repository.store.list(layout.base(backup_id)):
        if isinstance(layout.parse(stat.name), layout.FileId):
            yield stat.name


def verify(
    repository: repository_.Repository,
    backup_id: str,
    control: control_.Control,
    *,
    threads: int,
    reads: selection.Selection,
) -> target_.Report:
    """Check an image; of one that was never verified, that it is there."""
    name = layout.manifest(backup_id)
    place = files_.FilePlace(repository)
    try:
        with place.read(backup_id) as kept:
            name = files_.image_of(kept.manifest)
            if kept.reader.map is None:
                return target_.Report(objects=1)
            place.check_head(kept.manifest)
            return check.check(
                kept.reader,
                name,
                backup_id,
                control,
                threads=threads,
                reads=reads,
            )
    except errors.IntegrityError as exc:
        finding = target_.Finding(name, str(exc), (backup_id,))
        return target_.Report(objects=1, findings=(finding,))


def first_verify(
    repository: repository_.Repository,
    backup_id: str,
    control: control_.Control,
    threads: int,
) -> target_.Report | None:
    """Put the digests of an image of which no byte was read.

    :returns: None where the backup is something else, or is damaged
    """
    place = files_.FilePlace(repository)
    try:
        with place.read(backup_id) as kept:
            if kept.reader.map is not None:
                return None
        return place.complete(backup_id, control, threads=threads)
    except (errors.NotFound, errors.IntegrityError):
        return None


def missing(
    manifest: manifest_.ImageManifest, there: Mapping[str, int]
) -> str:
    """Return what an image lacks, or nothing.

    :param there: the objects that are there, with their sizes
    """
    backup_id, attempt = manifest.summary.backup_id, manifest.attempt
    image = layout.image(backup_id, attempt)
    nodes = layout.digests(backup_id, attempt)
    if there.get(image) != manifest.summary.size_bytes:
        found = f'has {there[image]} bytes' if image in there else 'is gone'
        return f'its file {image} {found}'
    if manifest.root is not None and nodes not in there:
        return f'its digests {nodes} are gone'
    return ''

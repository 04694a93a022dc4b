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

"""A repository as a place for images: two files beside each manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import fcntl
import functools
import os

from backupkit.copy import control as control_
from backupkit.copy import raw
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import fetch
from backupkit.repository.image import block
from backupkit.repository.image import check
from backupkit.repository.image import digests
from backupkit.repository.image import failures
from backupkit.repository.image import manifest as manifest_
from backupkit.repository.image import place as place_
from backupkit.repository.image import reader as reader_
from backupkit.repository.image import source as source_
from backupkit.repository import layout
from backupkit.repository import repository as repository_
from backupkit.repository import tree

#: FICLONE of linux/fs.h.
_FICLONE = 0x40049409


class _Unread(Exception):
    """Ends the making of a digest tree of which there is nothing."""


class FilePlace(place_.Place):
    """Keeps images in the store of a repository.

    Any store can be read; to make one it must have the capability
    ``files``.
    """

    def __init__(self, repository: repository_.Repository) -> None:
        self.repository_id = repository.repository_id
        self._repository = repository
        self._store = repository.store

    @functools.cached_property
    def attempt(self) -> str:
        """The name of the files that are made: drawn when first asked for."""
        return repository_.new_attempt()

    def placed(self, summary: model.BackupSummary) -> model.BackupSummary:
        return dataclasses.replace(
            summary, service_metadata=layout.base(summary.backup_id)
        )

    @contextlib.contextmanager
    def read(self, backup_id: str) -> Iterator[place_.Kept]:
        manifest = self._repository.any_manifest(backup_id)
        if not isinstance(manifest, manifest_.ImageManifest):
            raise errors.NotFound(f'backup {backup_id} is no image')
        nodes = self._nodes(manifest)
        root = manifest.root
        if root is None:
            root = _root_of(nodes, backup_id)
        map_ = None if root is None else digests.TreeReader(nodes, root)
        with self.opened(manifest) as source:
            reader = reader_.ImageReader(
                source, manifest.geometry, manifest.digest, map_
            )
            with contextlib.closing(reader):
                yield place_.Kept(
                    manifest, self.placed(manifest.summary), reader
                )

    def _nodes(self, manifest: manifest_.ImageManifest) -> digests.TreeObject:
        return digests.TreeObject(
            self._store,
            _tree_of(manifest),
            manifest.geometry,
            manifest.digest,
        )

    def check_head(self, manifest: manifest_.ImageManifest) -> None:
        """Compare the head of the digest tree with the manifest.

        :raises errors.IntegrityError: it is damaged, or that of another one
        """
        backup_id = manifest.summary.backup_id
        root = _root_of(self._nodes(manifest), backup_id)
        if manifest.root not in (None, root):
            raise errors.FormatError(
                f'{_tree_of(manifest)} does not belong to its manifest'
            )

    @contextlib.contextmanager
    def opened(
        self, manifest: manifest_.ImageManifest
    ) -> Iterator[source_.Source]:
        """Lend the bytes of an image, unchecked.

        :raises errors.Damaged: it is gone, or of another size
        """
        name = image_of(manifest)
        size = manifest.summary.size_bytes
        with contextlib.ExitStack() as stack:
            try:
                found = self._store.stat(name).size_bytes
                source: source_.Source
                if self._store.capabilities.files:
                    fd = stack.enter_context(self._store.open_file(name))
                    source = stack.enter_context(
                        contextlib.closing(
                            source_.FileSource(_path(fd), size, name)
                        )
                    )
                else:
                    source = source_.ObjectSource(self._store, name, size)
            except errors.ObjectNotFound as exc:
                raise errors.Damaged(f'{name} is gone') from exc
            if found != size:
                raise errors.Damaged(
                    f'{name} has {found} bytes, and should have {size}'
                )
            yield source

    @contextlib.contextmanager
    def make(
        self,
        backup_id: str,
        geometry: tree.Geometry,
        digest_name: str,
        clone_of: place_.Kept | None,
    ) -> Iterator[place_.Made]:
        self._check_open(backup_id)
        name = layout.image(backup_id, self.attempt)
        tree_name = layout.digests(backup_id, self.attempt)
        with contextlib.ExitStack() as stack:
            image = stack.enter_context(self._store.make_file(name))
            nodes = stack.enter_context(
                _unless_unread(self._store.make_file(tree_name))
            )
            with failures.at_target(name):
                cloned = _clone(clone_of, image)
                if not cloned:
                    os.ftruncate(image, geometry.size_bytes)
                data = stack.enter_context(
                    raw.RawWriter(
                        _path(image),
                        geometry.size_bytes,
                        reads_zero=not cloned,
                    )
                )
            # What was written is made durable when it is given its name.
            yield place_.Made(
                data,
                digests.TreeFile(nodes, 0, geometry, digest_name),
                cloned,
                lambda: None,
            )
            if not os.fstat(nodes).st_size:
                raise _Unread

    def _check_open(self, backup_id: str) -> None:
        """Refuse to make what was decided about."""
        try:
            fetch.whole(self._store, layout.manifest(backup_id))
        except errors.ObjectNotFound:
            return
        raise errors.RunAborted(
            f'backup {backup_id} was committed or aborted before'
        )

    def complete(
        self, backup_id: str, control: control_.Control, *, threads: int
    ) -> target_.Report:
        """Read an image that has no digests, and put its tree.

        :raises errors.NotSupported: the store cannot take it
        """
        manifest = self._repository.any_manifest(backup_id)
        if not isinstance(manifest, manifest_.ImageManifest):
            raise errors.NotFound(f'backup {backup_id} is no image')
        geometry = manifest.geometry
        read = 0
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(self.opened(manifest))
            # Another verify may put the same tree meanwhile.
            stack.enter_context(contextlib.suppress(errors.ObjectExists))
            fd = stack.enter_context(self._store.make_file(_tree_of(manifest)))
            file = digests.TreeFile(fd, 0, geometry, manifest.digest)
            root, read = check.build(source, file, control, threads=threads)
            with failures.at_target(_tree_of(manifest)):
                file.put_head(block.Head(backup_id, geometry, root))
        return target_.Report(objects=1, bytes_read=read)


def image_of(manifest: manifest_.ImageManifest) -> str:
    """Return the name of the file of an image.

    :raises errors.FormatError: it has none in a repository
    """
    return _name_of(layout.image, manifest)


def _tree_of(manifest: manifest_.ImageManifest) -> str:
    """Return the name of the digest tree of an image, if it has one."""
    return _name_of(layout.digests, manifest)


def _name_of(
    naming: Callable[[str, str], str], manifest: manifest_.ImageManifest
) -> str:
    backup_id = manifest.summary.backup_id
    if not manifest.attempt:
        raise errors.FormatError(
            f'the manifest of backup {backup_id} names no files'
        )
    return naming(backup_id, manifest.attempt)


@contextlib.contextmanager
def _unless_unread(
    lending: contextlib.AbstractContextManager[int],
) -> Iterator[int]:
    """Lend a file that becomes no object where nothing is put into it."""
    with contextlib.suppress(_Unread), lending as fd:
        yield fd


def _root_of(nodes: digests.Nodes, backup_id: str) -> bytes | None:
    """Return the root that a verify has put; None where it has not yet.

    :raises errors.IntegrityError: it has put one, which is damaged
    """
    try:
        head = nodes.head(backup_id)
    except errors.Damaged as exc:
        if isinstance(exc.__cause__, errors.ObjectNotFound):
            return None
        raise
    if head is None:
        raise errors.FormatError(
            f'the digest tree of backup {backup_id} does not begin as it '
            'should'
        )
    return head.root


def _path(fd: int) -> str:
    return f'/proc/self/fd/{fd}'


def _clone(parent: place_.Kept | None, image: int) -> bool:
    """Let a new image share what its parent holds, if that can be done."""
    source = parent.reader.image() if parent else None
    if source is None:
        return False
    try:
        fcntl.ioctl(image, _FICLONE, source)
    except OSError:
        return False
    return True

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

"""A backup volume that is attached: its data, map area and locator."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import os

from backupkit.copy import interface
from backupkit import errors
from backupkit.repository import frame
from backupkit.repository.image import area as area_
from backupkit.repository.image import block
from backupkit.repository.image import digests
from backupkit.repository.image import manifest as manifest_
from backupkit.repository import tree

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)


class BackupVolume(interface.Closing):
    """The opened path of an attached backup volume.

    Used as a context manager. What the system says against reading or
    writing leaves it as an :class:`OSError`.

    :param size_bytes: as its attachment tells it
    :param backup_id: of the backup that its name names
    """

    def __init__(
        self, path: str, size_bytes: int, backup_id: str, *, writable: bool
    ) -> None:
        flags = os.O_RDWR if writable else os.O_RDONLY
        self.path = path
        self._size = size_bytes
        self._id = backup_id
        self.fd = os.open(path, flags | os.O_CLOEXEC)

    def close(self) -> None:
        """Close it; twice is fine."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def require(self, size_bytes: int) -> None:
        """Refuse a volume that is too small for what is to come.

        :raises errors.TargetError: its backend made it too small
        """
        if self._size < size_bytes:
            raise errors.TargetError(
                f'{self.path} has {self._size} bytes, and {size_bytes} were '
                'asked for'
            )

    def flush(self) -> None:
        """Make durable what was written."""
        os.fsync(self.fd)

    def locator(self) -> block.Locator | None:
        """Return the locator; None where there is none of this backup.

        :raises errors.FormatError: it is damaged
        """
        offset = area_.locator_offset(self._size)
        if offset < 0:
            return None
        found = block.load_locator(
            os.pread(self.fd, area_.LOCATOR_BYTES, offset), self._size
        )
        if found is None or found.backup_id != self._id:
            # A clone has the locator of the backup that it was made from.
            return None
        return found

    def manifest(self) -> manifest_.ImageManifest:
        """Return the manifest of the committed backup.

        :raises errors.NotFound: the backup is not committed
        :raises errors.IntegrityError: locator or manifest are damaged
        """
        locator = self.locator()
        if locator is None or locator.state != block.State.COMMITTED:
            raise errors.NotFound(f'backup {self._id} is not committed')
        what = f'the manifest of backup {self._id}'
        framed = os.pread(
            self.fd, locator.manifest_bytes, locator.manifest_offset
        )
        text = frame.unseal(frame.MANIFEST, framed, what)
        manifest = manifest_.load(text, self._id)
        area = area_.Area(manifest.geometry)
        if locator.manifest_offset != area.manifest_offset:
            raise errors.FormatError(f'{what} is not where it belongs')
        return manifest

    def tree(
        self, geometry: tree.Geometry, digest_name: str
    ) -> digests.TreeFile:
        """Return the place of the digest tree."""
        return digests.TreeFile(
            self.fd, area_.Area(geometry).tree_offset, geometry, digest_name
        )

    def commit(self, text: str) -> None:
        """Make the backup exist: put its manifest, and then the locator.

        Committing what is committed already succeeds.

        :raises errors.RunAborted: the backup was aborted
        """
        manifest = manifest_.load(text.encode(), self._id)
        framed = frame.seal(frame.MANIFEST, text.encode(), manifest.digest)
        area = area_.Area(manifest.geometry)
        locator = block.Locator(
            block.State.COMMITTED,
            self._id,
            area.manifest_offset,
            len(framed),
        )
        with self._locked():
            before = self._decided()
            if before is block.State.ABORTED:
                raise errors.RunAborted(f'backup {self._id} was aborted')
            if before is block.State.COMMITTED:
                return
            digests.pwrite_all(self.fd, framed, area.manifest_offset)
            os.fsync(self.fd)
            self._put_locator(locator, manifest.digest)

    def abort(self) -> bool:
        """Make sure that the backup can never be committed.

        :returns: False where it is committed
        """
        with self._locked():
            before = self._decided()
            if before is block.State.COMMITTED:
                return False
            if (
                before is not block.State.ABORTED
                and area_.locator_offset(self._size) >= 0
            ):
                aborted = block.Locator(block.State.ABORTED, self._id)
                self._put_locator(aborted, 'sha256')
            return True

    def _decided(self) -> block.State | None:
        """Return what was decided, if anything was.

        A locator that is damaged decides nothing: it was cut short.
        """
        try:
            locator = self.locator()
        except errors.FormatError:
            return None
        return locator.state if locator else None

    def _put_locator(self, locator: block.Locator, digest: str) -> None:
        digests.pwrite_all(
            self.fd, locator.pack(digest), area_.locator_offset(self._size)
        )
        os.fsync(self.fd)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let commits and aborts of this host come one after the other.

        The lock goes with the descriptor, and so with the process.
        """
        locked = True
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX)
        except OSError as exc:
            if exc.errno not in _NO_LOCKS:
                raise
            locked = False
        try:
            yield
        finally:
            if locked:
                fcntl.flock(self.fd, fcntl.LOCK_UN)

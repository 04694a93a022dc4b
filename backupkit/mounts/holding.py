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

"""The mounts that this process uses.

Whoever uses a mount holds a shared flock(2) on a file beside it, which the
kernel takes back when the process dies. The daemon unmounts only where it
gets that lock for itself alone.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import logging
import os
import threading
import time

from backupkit import errors
from backupkit import mounts
from backupkit.mounts import calls
from backupkit.mounts import share as share_
from backupkit.privileged import mountinfo

LOG = logging.getLogger(__name__)

#: How long a mount is kept after its last use in this process: what works
#: on a share opens it several times in a row.
LINGER_SECONDS = 2.0

_PAUSE_SECONDS = 0.05
#: Somebody may unmount between our mounting and our locking, but not twice.
_ROUNDS = 3
_MAX_OPTIONS = 4096

_lock = threading.Lock()
_holds: dict[str, Hold] = {}


def hold(share: share_.Share) -> Hold:
    """Return the hold that this process has on a share."""
    with _lock:
        if not _holds:
            atexit.register(release)
        return _holds.setdefault(share.path, Hold(share))


def release() -> None:
    """Let go at once of all mounts that are not in use."""
    with _lock:
        holds = list(_holds.values())
    for one in holds:
        one.release()


class Hold:
    """The use of one mount by this process."""

    def __init__(self, share: share_.Share) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._count = 0
        self._users = -1
        self._mount: mounts.Mount | None = None
        self._timer: threading.Timer | None = None

    def enter(self, share: share_.Share) -> mounts.Mount:
        """Have the share mounted, until :meth:`leave` is called as often.

        :raises errors.BackupkitError: it cannot be, or the mount that is in
            use was lost
        """
        with self._lock:
            if self._mount is not None and not _is_there(self._mount):
                if self._count:
                    raise errors.TargetMissing(
                        f'the mount of {share.source} at {share.path} is lost'
                    )
                self._close()
            if self._mount is None:
                self._share = share
                self._users, self._mount = _acquire(share)
            elif share.terms != self._share.terms:
                raise _other_options(share, self._share.terms)
            self._count += 1
            return self._mount

    def leave(self) -> None:
        """Give up one use."""
        with self._lock:
            self._count -= 1
            if self._count == 0 and self._timer is None:
                self._timer = threading.Timer(LINGER_SECONDS, self._rest)
                self._timer.daemon = True
                self._timer.start()

    def release(self) -> None:
        """Let go of the mount where it is not in use."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._count == 0 and self._mount is not None:
                self._close()
                _give_back(self._share)

    def _rest(self) -> None:
        self.release()

    def _close(self) -> None:
        os.close(self._users)
        self._users, self._mount = -1, None


def _is_there(mount: mounts.Mount) -> bool:
    entry = mountinfo.at(mount.path)
    return entry is not None and entry.mount_id == mount.mount_id


def _other_options(
    share: share_.Share, mounted: str
) -> errors.ConfigurationError:
    return errors.ConfigurationError(
        f'[{share.name}]: {share.source} is in use with the mount options '
        f'{mounted!r}, not {share.terms!r}: sections with one share need '
        'the same options'
    )


def _acquire(share: share_.Share) -> tuple[int, mounts.Mount]:
    """Mount a share where it is not, and lock the mount."""
    deadline = time.monotonic() + share.timeout
    with contextlib.ExitStack() as opened:
        users = None
        for _round in range(_ROUNDS):
            if users is None:
                users = _open_users(share)
                if users is not None:
                    opened.callback(os.close, users)
                    _wait(share, users, deadline)
            entry = mountinfo.at(share.path)
            if users is not None and entry is not None:
                kinds = share.kind.filesystems
                mountinfo.prove(entry, share.source, share.path, kinds)
                told = os.pread(users, _MAX_OPTIONS, 0).decode()
                if told != share.terms:
                    raise _other_options(share, told)
                opened.pop_all()
                return users, mounts.Mount(
                    share.path,
                    entry.device,
                    entry.mount_id,
                    entry.source,
                    entry.version,
                )
            _mount(share, deadline)
    raise errors.PrivilegeError(
        f'{share.source} was mounted, and is not there: does the privileged '
        'helper run in another mount namespace?'
    )


def _mount(share: share_.Share, deadline: float) -> None:
    # Only here, for it imports os-brick.
    from backupkit.mounts import brick

    LOG.info('mounting %s at %s', share.source, share.path)
    brick.mount(share, deadline)


def _open_users(share: share_.Share) -> int | None:
    """Open the file that users lock; None where the daemon is to make it."""
    try:
        return os.open(f'{share.path}.users', os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.PrivilegeError(
            f'cannot use {share.base}: {error.strerror}; the service user '
            'must be in the group that the privileged helper has'
        ) from error


def _wait(share: share_.Share, users: int, deadline: float) -> None:
    """Lock a mount as one of its users, which nothing but unmounting bars."""
    while True:
        try:
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise errors.TargetUnavailable(
                    f'{share.path} has been about to be unmounted for '
                    f'{share.timeout:.0f} s'
                ) from None
        time.sleep(_PAUSE_SECONDS)


def _give_back(share: share_.Share) -> None:
    """Unmount a share, unless somebody else uses it."""
    try:
        if _is_unused(share) and calls.unmount(share.name):
            LOG.info('unmounted %s', share.path)
    except errors.BackupkitError as error:
        LOG.warning('%s stays mounted: %s', share.path, error)


def _is_unused(share: share_.Share) -> bool:
    """Tell whether it is worth to ask the daemon, which may have to start.

    Asked after our own lock was given up: so of several who leave at once
    the last one sees that there is nobody else.
    """
    users = _open_users(share)
    if users is None:
        return False
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(users)
    return True

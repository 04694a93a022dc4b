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

"""The two calls that are served with privilege.

Next to each mount point lie two files: ``.lock``, which calls of all
daemons take in turn, and ``.users``, of which each user of the mount holds
a shared flock(2), and which tells the options it was mounted with.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import fcntl
import os
import stat
import time

from backupkit import errors
from backupkit import privileged
from backupkit.privileged import credentials
from backupkit.privileged import custody
from backupkit.privileged import mountinfo
from backupkit.privileged import programs
from backupkit.privileged import shares

_PAUSE_SECONDS = 0.05
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@privileged.context.entrypoint
def mount(name: str, version: str) -> str:
    """Mount a section's share where it is not mounted; return the place.

    :param name: of a section in the daemon's configuration
    :param version: one of those that :data:`kinds.KINDS` has for it; of no
        meaning where the share is mounted already
    """
    share = shares.find(name)
    options = share.kind.grammar.mount_options(share.options, version)
    with _locked(share, make=True) as directory:
        entry = mountinfo.at(share.path)
        if entry is None:
            _make_mount_point(share, directory)
            _mount(share, options, directory)
        else:
            _prove(entry, share)
            _compare_options(share, directory)
    return share.path


@privileged.context.entrypoint
def unmount(name: str) -> bool:
    """Unmount a section's share; return False where somebody uses it.

    :param name: of a section in the daemon's configuration
    """
    share = shares.find(name)
    if mountinfo.at(share.path) is None:
        return True
    with (
        _locked(share, make=False) as directory,
        _users(share, directory) as users,
    ):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        entry = mountinfo.at(share.path)
        if entry is None:
            return True
        _prove(entry, share)
        return programs.unmount(share.path, share.timeout)


def _mount(share: shares.Share, options: str, directory: int) -> None:
    # Before there is a mount, so that nobody reads what was there before.
    with _users(share, directory) as users:
        os.ftruncate(users, 0)
        os.pwrite(users, share.terms.encode(), 0)
    try:
        _run(share, options)
        entry = mountinfo.at(share.path)
        if entry is None:
            raise errors.TargetMissing(
                f'{share.source} was mounted, and is not there'
            )
        _prove(entry, share)
    except BaseException:
        if mountinfo.at(share.path) is not None:
            with contextlib.suppress(errors.BackupkitError):
                programs.unmount(share.path, share.timeout)
        raise


def _compare_options(share: shares.Share, directory: int) -> None:
    with _users(share, directory) as users:
        mounted = os.pread(users, os.fstat(users).st_size, 0).decode()
    if mounted != share.terms:
        raise errors.ConfigurationError(
            f'{share.source} is mounted with the options {mounted!r}, not '
            f'{share.terms!r}: unmount {share.path}'
        )


def _run(share: shares.Share, options: str) -> None:
    kind = share.kind
    if kind.has_credentials:
        login = credentials.read(share.credentials)
        programs.log_in(
            share.source, share.path, options, login, share.timeout
        )
    else:
        programs.mount(
            share.source, share.path, options, share.timeout, kind.mount_type
        )


def _prove(entry: mountinfo.Entry, share: shares.Share) -> None:
    mountinfo.prove(entry, share.source, share.path, share.kind.filesystems)


def _make_mount_point(share: shares.Share, directory: int) -> None:
    name = os.path.basename(share.path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0, dir_fd=directory)
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    # Nobody but root can write into it while nothing is mounted.
    if found.st_mode != stat.S_IFDIR or found.st_uid != custody.OWNER:
        raise errors.PrivilegeError(
            f"{share.path} is not root's directory of mode 0000: remove it"
        )


@contextlib.contextmanager
def _locked(share: shares.Share, *, make: bool) -> Iterator[int]:
    """Wait for our turn with a mount point; yield the directory it is in."""
    end = time.monotonic() + share.timeout
    with custody.directory(share.base, make=make) as directory:
        name = f'{os.path.basename(share.path)}.lock'
        with _opened(name, directory, 0o600) as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise errors.TargetUnavailable(
                            f'another process is busy with {share.path}'
                        ) from None
                time.sleep(_PAUSE_SECONDS)
            yield directory


def _users(
    share: shares.Share, directory: int
) -> contextlib.AbstractContextManager[int]:
    name = f'{os.path.basename(share.path)}.users'
    # Whoever may look through the directory may use the mount.
    return _opened(name, directory, 0o640 if os.getegid() else 0o644)


@contextlib.contextmanager
def _opened(name: str, directory: int, mode: int) -> Iterator[int]:
    fd = os.open(name, _OPEN, mode, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)

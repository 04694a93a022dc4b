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


"""The id of a share, in a file at its root.

A share has many names and addresses, and is one storage by all of them. So
its id is kept on it: drawn once, put there by whoever is first, and never
changed.
"""

from __future__ import annotations

import os
import re
import secrets
import stat

NAME = '.backupkit-storage'
_ID = re.compile(rb'([0-9a-f]{32})\n')
_MODE = 0o660
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read(root: int) -> str | None:
    """Return the id in an open directory, or None where there is none.

    What somebody else has put there under that name counts as none.

    :raises OSError: it cannot be read
    """
    try:
        fd = os.open(NAME, os.O_RDONLY | _FILE, dir_fd=root)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        found = _ID.fullmatch(os.pread(fd, 64, 0))
        return found.group(1).decode() if found else None
    finally:
        os.close(fd)


def put(root: int) -> None:
    """Put an id into an open directory, unless there is something already.

    :raises OSError: it cannot be written
    """
    temp = f'{NAME}-{secrets.token_hex(8)}'
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
    fd = os.open(temp, flags, _MODE, dir_fd=root)
    try:
        try:
            # The umask may have taken something from the mode.
            os.fchmod(fd, _MODE)
            os.write(fd, f'{secrets.token_hex(16)}\n'.encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(temp, NAME, src_dir_fd=root, dst_dir_fd=root)
        except FileExistsError:
            # Somebody was quicker, or it was us and the reply was lost.
            pass
    finally:
        os.unlink(temp, dir_fd=root)
    os.fsync(root)

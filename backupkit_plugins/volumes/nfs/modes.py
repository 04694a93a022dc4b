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

"""Whom the files of a volume belong to, and who may use them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat

from backupkit import errors

_SECURE = 0o660
_OPEN = 0o666

#: Cinder puts this file on a share that it uses as an ordinary user.
MARK = '.cinderSecureEnvIndicator'


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """What ``nas_secure_file_permissions`` and ``..._operations`` ask for.

    :ivar permissions: ``auto``, ``true`` or ``false``
    :ivar owned: the files must belong to this process's user
    """

    permissions: str = 'auto'
    owned: bool = False

    def give(self, fd: int, like: os.stat_result | None) -> None:
        """Give a new file its mode and owners.

        :param like: the file to which it belongs; None for a new volume
        """
        if like is not None:
            _own(fd, like)
        # After the owners, whose change takes bits away; and whatever the
        # umask has left.
        os.fchmod(fd, self._mode(like))

    def _mode(self, like: os.stat_result | None) -> int:
        if self.permissions == 'false':
            return _OPEN
        if self.permissions == 'auto' and like is not None:
            return stat.S_IMODE(like.st_mode) & _OPEN
        return _SECURE

    def check(self, name: str, found: os.stat_result) -> None:
        """Refuse to change a file that this user must not.

        :raises errors.SourceError: it belongs to somebody else
        """
        if self.owned and found.st_uid != os.geteuid():
            raise errors.SourceError(
                f'{name} belongs to user {found.st_uid} and not to user '
                f'{os.geteuid()}, which nas_secure_file_operations demands'
            )


def _own(fd: int, like: os.stat_result) -> None:
    """Give a file the owners of another one, as far as we may."""
    mine = os.fstat(fd)
    if os.geteuid() == 0 and mine.st_uid != like.st_uid:
        # A server that squashes root refuses it.
        with contextlib.suppress(PermissionError):
            os.fchown(fd, like.st_uid, -1)
    if mine.st_gid != like.st_gid:
        with contextlib.suppress(PermissionError):
            os.fchown(fd, -1, like.st_gid)

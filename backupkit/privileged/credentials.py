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

"""Who a share is mounted for, from a file that root alone can read.

It has the form that mount.cifs(8) reads. Nothing of what it says is ever
part of a command line, an error or a log.
"""

from __future__ import annotations

import os
import stat

from backupkit import errors
from backupkit.privileged import custody

_MAX_BYTES = 4096
_KEYS = ('username', 'password', 'domain')


def read(path: str) -> dict[str, str]:
    """Return the name, the password and the domain, as far as given.

    :raises errors.PrivilegeError: others than root can read or write it
    :raises errors.ConfigurationError: it has no name or no password
    """
    with custody.file(path) as fd:
        if os.fstat(fd).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise errors.PrivilegeError(
                f'{path} can be read by others than root: chmod 600 {path}'
            )
        found = os.pread(fd, _MAX_BYTES, 0).decode(errors='surrogateescape')
    login = {}
    for line in found.replace('\0', '\n').split('\n'):
        key, equals, value = line.lstrip().partition('=')
        if equals and key in _KEYS:
            login[key] = value
    for key in _KEYS[:2]:
        if not login.get(key):
            raise errors.ConfigurationError(f'{path} has no line {key}=...')
    return login

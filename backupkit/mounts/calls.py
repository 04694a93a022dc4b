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

"""The calls of the privileged daemon, as its clients make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from backupkit import errors
from backupkit.mounts import command
from backupkit import privileged
from backupkit.privileged import mounts

_T = TypeVar('_T')


def mount(name: str, version: str) -> str:
    """Have the share of a section mounted; return where that is.

    :raises errors.BackupkitError: it was refused, or failed
    """
    return str(_call(mounts.mount, name, version))


def unmount(name: str) -> bool:
    """Have the share of a section unmounted; False where somebody uses it.

    :raises errors.BackupkitError: it was refused, or failed
    """
    return bool(_call(mounts.unmount, name))


def _call(call: Callable[..., _T], *arguments: str) -> _T:
    privileged.context.command = command.helper()
    try:
        return call(*arguments)
    except privileged.FAILURES as error:
        raise errors.PrivilegeError(
            f'the privileged helper failed: {error}; it is started with '
            f'"{" ".join(privileged.context.command)}"'
        ) from error

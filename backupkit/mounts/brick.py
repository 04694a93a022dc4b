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

"""The share is mounted by os-brick's logic, through our two calls.

os-brick's client chooses the versions of NFS to try and names the mount
point, and does the same for GlusterFS and SMB. It believes that it runs
mkdir(1) and mount(8) as root; the executor that it is given turns that into
calls of the privileged daemon, and refuses everything that it does not know.
"""

from __future__ import annotations

import time
from typing import Any

from backupkit.mounts import threads  # noqa: F401 - before os-brick

from os_brick import exception
from os_brick.remotefs import remotefs

from backupkit import errors
from backupkit.mounts import calls
from backupkit.mounts import share as share_

_PAUSE_SECONDS = 1.0


def mount(share: share_.Share, deadline: float) -> None:
    """Mount a share, in as many attempts as its section allows.

    :param deadline: of :func:`time.monotonic`
    :raises errors.BackupkitError: why the first attempt failed
    """
    first: errors.BackupkitError | None = None
    for _number in range(share.attempts):
        if first is not None:
            time.sleep(_PAUSE_SECONDS)
        executor = _Executor(share, deadline)
        error = executor.mount()
        if error is None:
            return
        first = first or error
        late = time.monotonic() + _PAUSE_SECONDS >= deadline
        if late or not isinstance(error, errors.TargetUnavailable):
            break
    if first is not None:
        raise first


class _Executor:
    """Stands for the commands of one attempt to mount a share."""

    def __init__(self, share: share_.Share, deadline: float) -> None:
        self._share = share
        self._deadline = deadline
        #: Why the attempt fails: what is told first, unless that was only
        #: that the server does not know a version.
        self._error: errors.BackupkitError | None = None

    def mount(self) -> errors.BackupkitError | None:
        """Let os-brick mount the share; return why it could not."""
        kind = self._share.kind
        settings = {
            f'{kind.brick_prefix}_mount_point_base': self._share.base,
            f'{kind.brick_prefix}_mount_options': self._share.options or None,
        }
        client = remotefs.RemoteFsClient(
            kind.mount_type, None, execute=self, **settings
        )
        try:
            client.mount(self._share.source)
        except exception.BrickException as error:
            if isinstance(self._error, errors.NotSupported):
                # mount.nfs(8) says so of a server that is down, too.
                return errors.TargetUnavailable(str(self._error))
            return self._error or errors.PrivilegeError(
                f'cannot mount {self._share.source}: {error}'
            )
        return None

    def __call__(self, *words: str, **settings: Any) -> tuple[str, str]:
        """Run a command, as os-brick sees it."""
        if words == ('mkdir', '-p', self._share.path):
            # The daemon makes the mount point.
            return '', ''
        try:
            self._run(words)
        except errors.BackupkitError as error:
            if self._error is None or isinstance(
                self._error, errors.NotSupported
            ):
                self._error = error
            raise exception.BrickException(str(error)) from error
        return '', ''

    def _run(self, words: tuple[str, ...]) -> None:
        told = self._error
        if told is not None and not isinstance(told, errors.NotSupported):
            raise told
        if time.monotonic() >= self._deadline:
            raise errors.TargetUnavailable(
                f'{self._share.source} could not be mounted within '
                f'{self._share.timeout:.0f} s'
            )
        version = self._version(words)
        place = calls.mount(self._share.name, version)
        if place != self._share.path:
            calls.unmount(self._share.name)
            raise errors.ConfigurationError(
                f'[{self._share.name}]: the privileged helper mounts it at '
                f'{place}, not at {self._share.path}: its configuration is '
                'another one'
            )

    def _version(self, words: tuple[str, ...]) -> str:
        """Return which version of the protocol a command asks for."""
        given, kind = self._share.options, self._share.kind
        for version in kind.grammar.versions:
            asked = ''
            if version:
                major, _, minor = version.partition('.')
                asked = f'vers={major}' + (
                    f',minorversion={minor}' * bool(minor)
                )
            both = ','.join(filter(None, (given, asked)))
            flag = ('-o', both) if both else ()
            line = ('mount', '-t', kind.mount_type, *flag)
            if words == (*line, self._share.source, self._share.path):
                return version
        raise errors.PrivilegeError(f'os-brick asks for {" ".join(words)!r}')

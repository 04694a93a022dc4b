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

"""The daemon's own code, on a stage: no root, no kernel, no server.

The programs are scripts that note how they were run and change a table of
mounts; everything else is real. Files that must be root's must be ours here,
below a directory that stands for ``/``.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import unittest
from unittest import mock

from oslo_config import cfg

from backupkit.privileged import custody
from backupkit.privileged import mountinfo
from backupkit.privileged import mounts
from backupkit.privileged import programs

SHARE = 'server:/export'
CONFIGURATION = f"""\
[target:share]
driver = nfs
backup_nfs_share = {SHARE}
backup_nfs_mount_options = hard,timeo=100
"""
BASE = '/run/backupkit/mnt'
#: What os-brick calls the mount point of SHARE.
PLACE = f'{BASE}/e6e980ea11fb380ad110d97cbda6eafc'

_ENTRY = '36 25 0:99 / %s rw,nosuid,nodev,noexec - nfs4 %s rw,vers=4.2\\n'

mount = mounts.mount.args[0]
unmount = mounts.unmount.args[0]


class StageTest(unittest.TestCase):
    """A place for the daemon to work in."""

    def setUp(self) -> None:
        super().setUp()
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top)
        self.addCleanup(self._open_all)
        self.table = self.top / 'mountinfo'
        self.table.write_text('')
        self.ran = self.top / 'ran'
        for name in ('etc', 'run'):
            (self.top / name).mkdir(mode=0o755)
        self.replace(custody, 'TOP', str(self.top))
        self.replace(custody, 'OWNER', os.geteuid())
        self.replace(mountinfo, 'MOUNTINFO', str(self.table))
        self.program('MOUNT', self.mounting())
        self.program('UMOUNT', self.unmounting())
        self.configure(CONFIGURATION)

    def _open_all(self) -> None:
        for path in (self.top / 'run').rglob('*'):
            if path.is_dir():
                path.chmod(0o700)

    def replace(self, place: object, name: str, value: object) -> None:
        patch = mock.patch.object(place, name, value)
        patch.start()
        self.addCleanup(patch.stop)

    def configure(self, text: str, *names: str) -> None:
        """Give the daemon one configuration file, or several."""
        paths = []
        for name in names or ('backupkit.conf',):
            path = self.top / 'etc' / name
            path.write_text(text)
            path.chmod(0o640)
            paths.append(f'/etc/{name}')
        self.replace(cfg, 'CONF', mock.Mock(config_file=paths))

    def log_in(self, body: str) -> None:
        """Put a shell script into the place of what mounts SMB shares.

        What it was told is in the variable ``told``.
        """
        path = self.top / 'program-LOG_IN'
        path.write_text(
            f'#!/bin/sh\nprintf "%s\\n" LOG_IN "$@" >> {self.ran}\n'
            f'told=$(cat)\n{body}\n'
        )
        path.chmod(0o755)
        self.replace(programs, 'LOG_IN', (str(path), '-I'))

    def program(self, name: str, body: str) -> None:
        """Put a shell script into a program's place."""
        path = self.top / f'program-{name}'
        path.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "{name}" "$@" >> {self.ran}\n{body}\n'
        )
        path.chmod(0o755)
        self.replace(programs, name, str(path))

    def mounting(self, entry: str = _ENTRY) -> str:
        return f'printf "{entry}" "$7" "$6" >> {self.table}'

    def unmounting(self) -> str:
        return (
            f'grep -v " $4 " {self.table} > {self.table}.new; '
            f'mv {self.table}.new {self.table}'
        )

    def lines(self) -> list[str]:
        """Return what was run, word by word."""
        if not self.ran.exists():
            return []
        return self.ran.read_text().splitlines()

    def mounted(self) -> int:
        return len(self.table.read_text().splitlines())

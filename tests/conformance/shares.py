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


"""Directories that stand for mounted shares, where no kernel has NFS.

What is said of mounting is proved where one has; what is said of the store
and the target holds on every file system.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib
from typing import Any
import unittest
from unittest import mock

from backupkit import mounts

SHARE = 'nas.example.org:/srv/backup'


class Share:
    """Stands for a share while a test runs.

    :param directory: what the share holds
    """

    def __init__(self, case: unittest.TestCase, directory: str) -> None:
        self.directory = directory
        #: How many times it is in use, and was ever.
        self.users = 0
        self.entered = 0
        #: What the next attempt to use it raises.
        self.error: Exception | None = None
        patch = mock.patch.object(mounts, 'mounted', self.mounted)
        patch.start()
        case.addCleanup(patch.stop)

    @contextlib.contextmanager
    def mounted(
        self, name: str, section: Any, kind: str = 'nfs'
    ) -> Iterator[mounts.Mount]:
        """Do as :func:`backupkit.mounts.mounted` does."""
        if self.error is not None:
            raise self.error
        self.users += 1
        self.entered += 1
        try:
            yield self.mount(getattr(section, f'backup_{kind}_share'))
        finally:
            self.users -= 1

    def mount(self, source: str) -> mounts.Mount:
        """Describe the file system that the directory lies on."""
        fd = os.open(self.directory, os.O_RDONLY)
        try:
            told = pathlib.Path(f'/proc/self/fdinfo/{fd}').read_text()
            fields = dict(line.split(':\t') for line in told.splitlines())
            return mounts.Mount(
                self.directory,
                os.fstat(fd).st_dev,
                int(fields['mnt_id']),
                source,
                '4.2',
            )
        finally:
            os.close(fd)

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

"""A client that is reset in the middle of a backup, and comes up again."""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import unittest

from tests.guest import uml
from tests.nfs import reset

_DISK_BYTES = 256 * 1024**2
_DISKS = ('server', 'client')
_SECONDS = 600
_SERVICES = ('tests.nfs.server', 'tests.nfs.rights')


class ResetTest(unittest.TestCase):
    """Runs on the host, for it starts the guests."""

    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory(prefix='reset-')
        self.addCleanup(made.cleanup)
        self.job = pathlib.Path(made.name).resolve()
        self.disks = [self.job / name for name in _DISKS]
        for disk in self.disks:
            disk.touch()
            os.truncate(disk, _DISK_BYTES)
        self.directory = uml.lay_tests(self.job)

    def start(self, life: str) -> uml.Guest:
        """Start a guest that leads one of the two lives."""
        services = (f'--service={name}' for name in _SERVICES)
        guest = uml.Guest(
            self.job,
            uml.Command(
                arguments=[
                    *(sys.executable, '-m', 'tests.guest.inside', '--guest'),
                    *(*services, '-m', 'unittest', f'tests.nfs.reset.{life}'),
                ],
                environment=uml.environment(),
                directory=self.directory,
            ),
            disks=self.disks,
            memory_mib=1024,
        )
        self.addCleanup(guest.kill)
        return guest

    def test_when_the_client_is_reset_then_the_next_start_goes_on(
        self,
    ) -> None:
        mark = self.job / reset.MARK
        guest = self.start('BeforeReset')

        def strike() -> None:
            if mark.exists():
                guest.kill()

        with self.assertRaisesRegex(uml.GuestError, 'went down early'):
            guest.wait(_SECONDS, strike)
        self.assertTrue(mark.exists(), guest.told())
        guest = self.start('AfterReset')
        self.assertEqual(0, guest.wait(_SECONDS), guest.told())

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

"""Shares that cannot be mounted: told clearly and in time, nothing left."""

from __future__ import annotations

import time

from backupkit import errors
from tests.nfs import kernel
from tests.nfs import server
from tests.nfs import stand

#: Beyond the timeout itself: a guest is slow to start a process.
_SLACK_SECONDS = 15


class RefusalsTest(stand.NfsStand):
    def refused(
        self, kind: type[errors.BackupkitError], told: str, seconds: float
    ) -> None:
        """Ask for a backup that fails in time, and leaves nothing."""
        self.fill('db01', 1, 1 << 20)
        begun = time.monotonic()
        with self.assertRaisesRegex(kind, told):
            self.connect().create_backup('local:db01')
        self.assertLess(time.monotonic() - begun, seconds + _SLACK_SECONDS)
        self.assertEqual([], server.mounts())

    def test_when_the_share_is_not_exported_then_it_is_missing(self) -> None:
        self.configure(directory='/no/such', mount_timeout=10)
        self.refused(errors.TargetMissing, '/no/such', 10)

    def test_when_an_option_is_not_allowed_then_it_is_named(self) -> None:
        self.configure(options='vers=4.2,suid')
        self.refused(errors.ConfigurationError, 'suid', 0)

    def test_when_the_share_is_no_share_then_it_is_told(self) -> None:
        self.configure(address='-oexec')
        self.refused(errors.ConfigurationError, '-oexec', 0)

    def test_when_nobody_has_the_address_then_it_is_unavailable(
        self,
    ) -> None:
        self.configure(server.NOBODY, mount_timeout=5)
        self.refused(errors.TargetUnavailable, server.NOBODY, 5)

    def test_when_the_server_is_silent_then_it_is_unavailable(self) -> None:
        self.configure(mount_timeout=5)
        server.do(kernel.pause)
        self.addCleanup(server.do, kernel.resume)
        self.refused(errors.TargetUnavailable, kernel.ADDRESS, 5)

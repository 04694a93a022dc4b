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

"""A server that falls silent in the middle of a command, for too long."""

from __future__ import annotations

import json
import signal

from tests.nfs import command
from tests.nfs import kernel
from tests.nfs import server

_MIB = 1024**2
_SIZE = 16 * _MIB
#: Where the server falls silent.
_MIDDLE = 2 * _MIB
#: So that much is left to do then, however long it takes to silence it.
_SLOW = f'max_bytes_per_second = {_MIB}'
#: A slow guest takes some of it for the mount alone.
_TIMEOUT_SECONDS = 15
#: Calls that are given up one after the other, and the slow guest's own.
_SLACK_SECONDS = 120
_AGES_SECONDS = 3600
#: Nothing moves for so long only where a call hangs: what is slow moves
#: something every few seconds.
_STILL_SECONDS = 20


class SilenceTest(command.CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.content = self.fill('db01', 1, _SIZE)
        # Runs before the check that no mount is left.
        self.addCleanup(server.do, kernel.resume)

    def backed_up(self) -> str:
        """Make a backup with nothing in the way, and return its id.

        It waits for the server where that is about to come back.
        """
        self.configure()
        made = self.ran('backup', 'create', 'local:db01', '-f', 'json')
        return str(json.loads(made.out())['id'])

    def silenced(
        self, *arguments: str, io_timeout: int = _TIMEOUT_SECONDS
    ) -> command.Command:
        """Start a command, and silence the server in the middle of it."""
        self.configure(io_timeout=io_timeout, more=_SLOW)
        started = self.start(*arguments)
        started.until_moved(_MIDDLE)
        server.do(kernel.pause)
        return started

    def assert_restorable(self, backup_id: str) -> None:
        self.configure()
        self.ran('backup', 'verify', '--full', backup_id)
        self.ran('backup', 'restore', backup_id, '--new', 'local:again')
        self.assertEqual(self.content, self.digest('again'))

    def assert_repeated(self, first_id: str) -> None:
        """Check that a backup can be made as if nothing had happened."""
        second_id = self.backed_up()
        self.assert_restorable(second_id)
        rows = self.asked('backup', 'list')
        self.assertEqual({first_id, second_id}, {row['id'] for row in rows})

    def test_backup_when_silent_for_too_long_then_suspended_in_time(
        self,
    ) -> None:
        first_id = self.backed_up()
        self.content = self.fill('db01', 2, _SIZE)
        backup = self.silenced('backup', 'create', 'local:db01')
        code = backup.end(_TIMEOUT_SECONDS + _SLACK_SECONDS)
        self.assertEqual(9, code, backup.told())
        self.assertIn('target repo does not answer', backup.told())
        # The catalog needs no server.
        (run,) = self.asked('run', 'list')
        self.assertEqual('local:db01', run['volume'])
        server.do(kernel.resume)
        self.ran('run', 'abort', '--yes', str(run['number']))
        self.assert_repeated(first_id)
        with self.connect() as kit:
            self.assert_sound(kit)
            self.assert_nothing_left(kit)

    def test_restore_when_silent_for_too_long_then_suspended_in_time(
        self,
    ) -> None:
        backup_id = self.backed_up()
        self.fill('over', 2, _SIZE)
        line = ('backup', 'restore', backup_id, '--to', 'local:over')
        restore = self.silenced(*line, '--overwrite')
        code = restore.end(_TIMEOUT_SECONDS + _SLACK_SECONDS)
        self.assertEqual(9, code, restore.told())
        self.assertIn('target repo does not answer', restore.told())
        # What is half written is never taken for whole.
        (over,) = self.asked('volume', 'show', 'local:over')
        self.assertEqual(backup_id, over['incomplete'])
        server.do(kernel.resume)
        self.configure()
        self.ran(*line, '--overwrite')
        self.assertEqual(self.content, self.digest('over'))

    def test_verify_when_silent_for_too_long_then_told_in_time(self) -> None:
        backup_id = self.backed_up()
        verify = self.silenced('backup', 'verify', '--full', backup_id)
        code = verify.end(_TIMEOUT_SECONDS + _SLACK_SECONDS)
        self.assertEqual(5, code, verify.told())
        self.assertIn('target repo does not answer', verify.told())
        server.do(kernel.resume)
        # Silence is no damage.
        (row,) = self.asked('backup', 'list')
        self.assertEqual('available', row['status'])
        self.assert_restorable(backup_id)

    def test_backup_when_interrupted_in_the_silence_then_ends_soon(
        self,
    ) -> None:
        first_id = self.backed_up()
        self.content = self.fill('db01', 2, _SIZE)
        backup = self.silenced(
            'backup', 'create', 'local:db01', io_timeout=_AGES_SECONDS
        )
        backup.until_still(_STILL_SECONDS)
        backup.process.send_signal(signal.SIGINT)
        self.assertEqual(130, backup.end(_SLACK_SECONDS), backup.told())
        server.do(kernel.resume)
        self.ran('doctor', '--clear', '--yes')
        self.assert_repeated(first_id)
        with self.connect() as kit:
            self.assert_nothing_left(kit)

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


"""SIGKILL at random moments: what was acknowledged is there, and no more.

Drivers and files are the real ones. ``BACKUPKIT_KILLS`` is how often each
kind of run is killed; at what moments differs from run to run, because time
does. A moment in which something breaks is found again by the step at which
it broke: see :mod:`tests.unit.flows.test_death`.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import hashlib
import os
import pathlib
import random
import select
import signal
import time
from typing import Any
import unittest
import uuid

from backupkit import api
from backupkit import doctor
from backupkit import model
from tests.unit.flows import base

KILLS = int(os.environ.get('BACKUPKIT_KILLS', '10'))

CONFIGURATION = """
[DEFAULT]
enabled_backends = local
enabled_targets = repo
state_path = {directory}/state
[backend:local]
driver = file
volumes_dir = {directory}/volumes
[target:repo]
driver = posix
backup_posix_path = {directory}/repo
chunk_size_bytes = 16384
pack_size_bytes = 262144
"""

SIZE = 2 << 20
#: How many backups there may be before some are deleted again.
MANY = 4


class KillTestCase(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = base.scratch(self)
        for name in ('volumes', 'repo'):
            (self.directory / name).mkdir(mode=0o770)
        self.random = random.Random()
        #: What the volume held at each good backup.
        self.contents: dict[str, str] = {}
        #: What a new volume is to hold that the killed process made.
        self.restoring = ''
        #: What the process that is killed was to delete.
        self.going: set[str] = set()
        (self.directory / 'backupkit.conf').write_text(
            CONFIGURATION.format(directory=self.directory)
        )
        self.volume.write_bytes(self.random.randbytes(SIZE))
        self.back_up()
        self.back_up()
        # How long it took when it was not killed: the time to kill in.
        self.seconds = 0.2

    @property
    def volume(self) -> pathlib.Path:
        return self.directory / 'volumes' / 'v'

    def connect(self) -> api.Backupkit:
        kit = api.connect([str(self.directory / 'backupkit.conf')])
        self.addCleanup(kit.close)
        return kit

    def change(self) -> None:
        with self.volume.open('r+b') as file:
            file.seek(self.random.randrange(SIZE - 99_999))
            file.write(self.random.randbytes(99_999))

    def back_up(self) -> None:
        row = self.connect().create_backup('local:v')
        self.contents[row.backup_id] = _digest(self.volume)

    def good(self, kit: api.Backupkit) -> list[str]:
        return [
            row.backup_id
            for row in kit.list_backups()
            if row.status == model.BackupStatus.AVAILABLE
        ]

    def killed(self, call: Callable[[api.Backupkit], Any]) -> bool:
        """Kill a process that makes a call; False where it was too quick."""
        begun = time.monotonic()
        child = os.fork()
        if not child:
            code = 1
            try:
                call(self.connect())
                code = 0
            finally:
                os._exit(code)
        handle = os.pidfd_open(child)
        try:
            moment = self.random.uniform(0, self.seconds)
            if not select.select([handle], [], [], moment)[0]:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.assertIn(code, (0, -signal.SIGKILL))
        if not code:
            self.seconds = time.monotonic() - begun
        return code != 0

    def check(self, expected: set[str], digest: str) -> None:
        """Clear, and assert that all good backups are good.

        :param expected: backups that must be there
        :param digest: what the volume holds, should there be a new one
        """
        kit = self.connect()
        kit.doctor(clear=True)
        self.assertEqual(
            [],
            [
                one
                for one in kit.doctor()
                if one.state == doctor.PROBLEM and one.area != 'volume'
            ],
        )
        good = self.good(kit)
        self.assertLessEqual(expected, set(good))
        for backup_id in good:
            self.contents.setdefault(backup_id, digest)
            self.assertTrue(kit.verify_backup(backup_id, full=True).good)
        self.assertEqual([], kit.list_runs())
        chosen = self.random.choice(good)
        name = f'w{uuid.uuid4().hex}'
        kit.restore_backup(chosen, new=f'local:{name}')
        self.assertEqual(self.contents[chosen], self.digest_of(name))
        kit.delete_volume(f'local:{name}')
        self.check_volumes()
        for backup_id in good[:-MANY]:
            kit.delete_backup(backup_id)
        kit.close()

    def check_volumes(self) -> None:
        """Assert that no volume is left but one that is wholly restored."""
        known = {'v', 'over', 'new'}
        volumes = self.directory / 'volumes'
        self.assertLessEqual({path.name for path in volumes.iterdir()}, known)
        if (volumes / 'new').exists():
            self.assertEqual(self.restoring, self.digest_of('new'))
            (volumes / 'new').unlink()

    def digest_of(self, volume_id: str) -> str:
        return _digest(self.directory / 'volumes' / volume_id)

    def repeat(
        self, prepare: Callable[[api.Backupkit], Callable[..., Any]]
    ) -> None:
        """Kill what ``prepare`` returns, until that was often enough."""
        done = 0
        while done < KILLS:
            self.change()
            kit = self.connect()
            call = prepare(kit)
            expected = set(self.good(kit)) - self.going
            kit.close()
            done += self.killed(call)
            self.check(expected, _digest(self.volume))

    def test_when_a_backup_is_killed_then_none_is_lost(self) -> None:
        self.repeat(lambda kit: lambda own: own.create_backup('local:v'))
        self.back_up()

    def test_when_a_restore_is_killed_then_it_is_undone(self) -> None:
        def prepare(kit: api.Backupkit) -> Callable[..., Any]:
            chosen = self.random.choice(self.good(kit))
            if self.random.random() < 0.5:
                (self.directory / 'volumes' / 'over').write_bytes(bytes(SIZE))
                return functools.partial(
                    _restore, chosen, to='local:over', overwrite=True
                )
            self.restoring = self.contents[chosen]
            return lambda own: own.restore_backup(chosen, new='local:new')

        self.repeat(prepare)
        self.back_up()

    def test_when_a_delete_is_killed_then_others_are_whole(self) -> None:
        def prepare(kit: api.Backupkit) -> Callable[..., Any]:
            if len(self.good(kit)) < 2:
                self.back_up()
            chosen = self.random.choice(self.good(kit))
            self.going = {chosen}
            return lambda own: own.delete_backup(chosen)

        self.repeat(prepare)
        self.back_up()

    def test_when_a_gc_is_killed_then_nothing_reached_goes(self) -> None:
        def prepare(kit: api.Backupkit) -> Callable[..., Any]:
            self.back_up()
            kit.delete_backup(self.good(kit)[0])
            return lambda own: own.collect_garbage()

        self.repeat(prepare)
        self.back_up()


def _restore(chosen: str, kit: api.Backupkit, **where: Any) -> None:
    kit.restore_backup(chosen, **where)


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

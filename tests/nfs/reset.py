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

"""The two lives of a client that is reset in the middle of a backup.

``test_reset`` has each run in a guest of its own, one after the other, with
the same two disks: the server's, and the client's.
"""

from __future__ import annotations

import os
import pathlib
import threading
from typing import ClassVar

from backupkit.copy import control
from backupkit import doctor
from tests.guest import init
from tests.guest import inside
from tests.guest import machine
from tests.guest import root
from tests.nfs import kernel
from tests.nfs import server
from tests.nfs import stand

#: The host resets the guest when this is there.
MARK = 'half'

_MIB = 1024**2
_SIZE = 24 * _MIB
_DISK_MIB = 256
_SERVERS = '/dev/ubda'
_CLIENTS = '/dev/ubdb'
_PLACE = '/var/lib/backupkit'
_FIRST = 'first.id'


class _Life(stand.NfsStand):
    """What both lives have: the disks."""

    keep: ClassVar[bool]

    @classmethod
    def setUpClass(cls) -> None:
        # That of the base class exports a disk which the reset would take.
        cls.exported = server.do(
            kernel.export, _DISK_MIB, _SERVERS, keep=cls.keep
        )
        root.do(mount_client, keep=cls.keep)

    def make_place(self, root: pathlib.Path) -> None:
        del root
        self.root = pathlib.Path(_PLACE, 'state')
        self.volumes = self.root / 'volumes'
        self.volumes.mkdir(parents=True, exist_ok=self.keep)
        if self.keep:
            self.directory = (self.root / 'directory').read_text()
        else:
            self.directory = server.do(kernel.make_directory, self.exported)
            (self.root / 'directory').write_text(self.directory)
        self.configure()


class BeforeReset(_Life):
    """The life that does not end by itself."""

    keep = False

    def test_backup_when_half_is_done_then_it_never_ends(self) -> None:
        kit = self.connect()
        self.fill('db01', 1, _SIZE)
        first = kit.create_backup('local:db01')
        (self.root / _FIRST).write_text(first.backup_id)
        self.fill('db01', 2, _SIZE)
        # What was written long ago is on the disk.
        os.sync()
        kit.create_backup('local:db01', control=control.Control(_stop))


class AfterReset(_Life):
    """The life that finds what the first one has left."""

    keep = True

    def test_backup_when_reset_then_left_is_cleared_and_repeated(
        self,
    ) -> None:
        self.assertEqual([], server.mounts())
        kit = self.connect()
        (run,) = kit.list_runs()
        self.assertEqual(('backup', 'running'), (run.kind, run.state))
        shown = {
            (each.area, each.name)
            for each in kit.doctor()
            if each.state != doctor.OK
        }
        self.assertIn(('run', str(run.number)), shown)
        kit.doctor(clear=True)
        self.assert_nothing_left(kit)
        second = kit.create_backup('local:db01')
        digest = self.digest('db01')
        first_id = (self.root / _FIRST).read_text()
        self.fill('db01', 1, _SIZE)
        self.assert_contents(
            kit,
            {first_id: self.digest('db01'), second.backup_id: digest},
        )
        self.assertEqual({first_id, second.backup_id}, self.good(kit))
        kit.collect_garbage()
        self.assert_sound(kit)
        self.assert_nothing_left(kit)


def mount_client(*, keep: bool) -> None:
    """Mount the client's disk; root's to call."""
    if not keep:
        machine.run('mkfs.ext4', '-q', '-F', _CLIENTS)
    os.makedirs(_PLACE, exist_ok=True)
    machine.run('mount', _CLIENTS, _PLACE)
    os.chown(_PLACE, inside.UID, inside.UID)


def _stop(progress: control.Progress) -> None:
    if progress.step == 'backup' and progress.done_bytes > _SIZE // 2:
        root.do(machine.write, str(init.JOB / MARK), '')
        threading.Event().wait()

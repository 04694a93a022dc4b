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

"""A place whose repository lies on a share of another machine."""

from __future__ import annotations

import pathlib
import time
from typing import ClassVar

from backupkit import api
from backupkit import errors
from backupkit import mounts
from tests.functional import stand
from tests.guest import inside
from tests.long import far
from tests.nfs import rights

_MIB = 1024**2
#: Beyond the timeout itself: a guest is slow to start a process.
_SLACK_SECONDS = 20
_CONFIGURATION = """\
[DEFAULT]
enabled_backends = local
enabled_targets = repo
default_target = repo
state_path = {root}/state
io_timeout_seconds = 60
[catalog]
connection = sqlite:///{root}/catalog.sqlite
[backend:local]
driver = file
volumes_dir = {root}/volumes
[target:repo]
driver = {driver}
chunk_size_bytes = 65536
pack_size_bytes = 1048576
{section}
"""


class FarStand(stand.Stand):
    """What is asked of every type of share, by a service user."""

    driver: ClassVar[str]
    #: What the kernel calls its file systems.
    filesystem: ClassVar[str]

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.assert_nothing_mounted)

    def make_place(self, root: pathlib.Path) -> None:
        self.root = root
        self.volumes = root / 'volumes'
        self.volumes.mkdir()
        self.configure()

    def section(self, **changed: str) -> dict[str, str]:
        """Return the options of the target."""
        raise NotImplementedError

    def entries(self) -> list[far.Entry]:
        """Return what is on the share, as the server has it."""
        raise NotImplementedError

    def configure(self, **changed: str) -> None:
        """Have root name the share; by default the right one."""
        options = self.section(**changed)
        lines = [f'{name} = {value}' for name, value in options.items()]
        rights.configure(
            _CONFIGURATION.format(
                root=self.root, driver=self.driver, section='\n'.join(lines)
            )
        )

    def connect(self) -> api.Backupkit:
        kit = api.connect([rights.CONFIGURATION])
        self.addCleanup(kit.close)
        return kit

    def assert_nothing_mounted(self) -> None:
        """Check that no mount is left once nobody uses it."""
        mounts.release()
        self.assertEqual([], far.mounts(self.filesystem))

    def live(self) -> None:
        """Make, verify, restore, delete backups; then collect."""
        contents = {}
        with self.connect() as kit:
            contents['first'] = self.fill('db01', 1, 4 * _MIB)
            first = kit.create_backup('local:db01')
            with (self.volumes / 'db01').open('r+b') as image:
                image.write(b'changed')
            contents['second'] = self.digest('db01')
            second = kit.create_backup('local:db01')
            self.assertEqual(first.backup_id, second.parent_id)
            both = {first.backup_id, second.backup_id}
            self.assert_verified(kit, both, full=True)
            self.assert_contents(
                kit,
                {
                    first.backup_id: contents['first'],
                    second.backup_id: contents['second'],
                },
            )
            kit.delete_backup(first.backup_id)
            kit.collect_garbage()
            self.assert_contents(kit, {second.backup_id: contents['second']})
            self.assert_sound(kit)
            self.assert_nothing_left(kit)

    def assert_modes(self) -> None:
        """Check what the server has after a backup."""
        with self.connect() as kit:
            self.fill('db01', 1, _MIB)
            kit.create_backup('local:db01')
        self.assertEqual(
            {
                ('file', 0o660, inside.UID, inside.UID),
                ('directory', 0o770, inside.UID, inside.UID),
            },
            {tuple(entry) for entry in self.entries()},
        )

    def assert_mounted(self, source: str, *options: str) -> None:
        """Back up, and check that the share is mounted once, and how."""
        with self.connect() as kit:
            self.fill('db01', 1, _MIB)
            made = kit.create_backup('local:db01')
            (mounted,) = far.mounts(self.filesystem)
            self.assertEqual(source, mounted.source)
            expected = {'nosuid', 'nodev', 'noexec', *options}
            self.assertEqual(expected, expected & mounted.options)
            self.assertEqual(
                self.digest('db01'), self.restored(kit, made.backup_id)
            )

    def refused(
        self, kind: type[errors.BackupkitError], told: str, seconds: float
    ) -> str:
        """Ask for a backup that fails in time; return what it tells."""
        self.fill('db01', 1, _MIB)
        begun = time.monotonic()
        with self.assertRaisesRegex(kind, told) as caught:
            self.connect().create_backup('local:db01')
        self.assertLess(time.monotonic() - begun, seconds + _SLACK_SECONDS)
        self.assertEqual([], far.mounts(self.filesystem))
        return str(caught.exception)

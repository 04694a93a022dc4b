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

"""Modes and owners of files: before, during and after the work."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any
from unittest import mock

from backupkit.copy import qemu
from backupkit import errors
from backupkit_plugins.volumes.nfs import modes
from tests.unit.plugins.volumes.nfs import case


class ModesTest(case.NfsCase):
    def setUp(self) -> None:
        super().setUp()
        # What a careless service would run with.
        self.addCleanup(os.umask, os.umask(0o077))

    def modes(self) -> dict[str, str]:
        """Return the mode of each file that belongs to a volume."""
        return {
            path.name.partition('.')[2]: oct(stat.S_IMODE(path.stat().st_mode))
            for path in self.directory.glob('volume-*')
        }

    def somebody_else(self) -> contextlib.AbstractContextManager[object]:
        """Be another user, as far as anybody asks."""
        uid = os.geteuid() + 1
        return mock.patch.object(
            os, 'geteuid', autospec=True, return_value=uid
        )

    def test_when_new_then_group_may_and_others_not(self) -> None:
        self.driver().create('v', case.SIZE)
        self.driver().snapshot('v', 'one')
        self.assertEqual({'0o660'}, set(self.modes().values()))

    def test_when_not_secure_then_everybody_may(self) -> None:
        driver = self.driver(nas_secure_file_permissions='false')
        driver.create('v', case.SIZE)
        driver.snapshot('v', 'one')
        self.assertEqual({'0o666'}, set(self.modes().values()))

    def test_when_auto_then_overlay_is_as_the_volume(self) -> None:
        self.driver().create('v', case.SIZE)
        (self.directory / 'volume-v').chmod(0o640)
        self.driver().snapshot('v', 'one')
        found = self.modes()
        overlay = next(name for name in found if '-' in name)
        self.assertEqual('0o640', found[overlay])

    def test_when_tool_runs_then_its_files_are_right(self) -> None:
        seen = []
        run = qemu.run

        def looking(*argv: str, **options: Any) -> str:
            seen.append(set(self.modes().values()))
            told = run(*argv, **options)
            seen.append(set(self.modes().values()))
            return told

        driver = self.driver(nfs_qcow2_volumes=True)
        with mock.patch.object(qemu, 'run', looking):
            driver.create('v', case.SIZE)
            for name in ('one', 'two', 'three'):
                driver.snapshot('v', name)
            for taken in driver.snapshots('v'):
                driver.delete_snapshot(taken)
            driver.clone('w', 'v')
        self.assertGreater(len(seen), 10)
        for found in seen:
            self.assertEqual({'0o660'}, found)

    def test_when_owned_is_asked_then_foreign_files_stay(self) -> None:
        self.driver().create('v', case.SIZE)
        driver = self.driver(nas_secure_file_operations='true')
        with (
            self.somebody_else(),
            self.assertRaisesRegex(errors.SourceError, 'belongs to user'),
        ):
            driver.snapshot('v', 'one')
        self.assertEqual([], list(driver.snapshots('v')))
        driver.snapshot('v', 'one')

    def test_when_cinder_has_marked_the_share_then_auto_asks(self) -> None:
        self.driver().create('v', case.SIZE)
        (self.directory / modes.MARK).touch()
        with (
            self.somebody_else(),
            self.assertRaisesRegex(errors.SourceError, 'belongs to user'),
        ):
            self.driver().delete('v')

    def test_when_options_are_doubtful_then_remarks_tell(self) -> None:
        self.assertEqual([], list(self.driver().remarks()))
        told = self.driver(
            nas_secure_file_permissions='false',
            nas_secure_file_operations='false',
            backup_nfs_mount_options='vers=3,nolock',
        ).remarks()
        self.assertEqual(3, len(told))

    def test_when_not_sparse_then_space_is_taken_at_once(self) -> None:
        self.driver().create('sparse', case.SIZE)
        self.driver(nfs_sparsed_volumes=False).create('full', case.SIZE)
        shown = self.driver().show
        self.assertEqual(0, shown('sparse').allocated_bytes)
        self.assertGreaterEqual(shown('full').allocated_bytes or 0, case.SIZE)

    def test_when_size_is_no_multiple_then_refused(self) -> None:
        for size in (0, 1, 511, 513, -512):
            with self.assertRaises(errors.UsageError):
                self.driver().create('v', size)
        self.assertEqual(1024, self.driver().round_size(513))

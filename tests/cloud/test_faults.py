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


"""What is left where Cinder or os-brick fails, and who removes it."""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib
import subprocess
import sys
from typing import Any
from unittest import mock

from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.cinder import api as api_
from backupkit_plugins.volumes.cinder import brick as brick_
from backupkit_plugins.volumes.cinder import device as device_
from tests.cloud import dying
from tests.cloud import stand
from tests.cloud import test_backups

NAME = 'backupkit-6c0f3f8e-0d0f-4a44-8a8e-2f6d40ac8a4c'
_CONNECT = brick_.Brick.connect
_DISCONNECT = brick_.Brick.disconnect


class Counting:
    """os-brick, whose every call is counted, and one of them fails.

    :param failing: ``connect`` before or after it did its work (``half``),
        or the first ``disconnect``
    """

    def __init__(self, failing: str = '') -> None:
        self.connects = self.disconnects = 0
        self._failing = failing

    def connect(
        self, brick: brick_.Brick, connection: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Count, and connect."""
        self.connects += 1
        if self._failing == 'connect':
            raise errors.SourceError('os-brick finds no device')
        told = _CONNECT(brick, connection)
        if self._failing == 'half':
            raise errors.SourceError('os-brick fails at the end')
        return told

    def disconnect(
        self,
        brick: brick_.Brick,
        connection: Mapping[str, Any],
        device: Mapping[str, Any],
    ) -> None:
        """Count, and disconnect; that this is done by force is real."""
        if self._failing == 'disconnect':
            self._failing = ''
            raise errors.SourceError('os-brick cannot flush')
        self.disconnects += 1
        _DISCONNECT(brick, connection, device)


class FaultCase(stand.CloudCase):
    """A driver, a volume of its cloud, and what there is besides."""

    def setUp(self) -> None:
        super().setUp()
        self.driver = self.load()
        self.volume_id = self.make_volume(self.driver)
        self.files = self.cloud.files()

    def count(self, failing: str = '') -> Counting:
        """Count the calls of os-brick from now on."""
        counting = Counting(failing)
        for name in ('connect', 'disconnect'):
            call = getattr(counting, name)

            def replacement(
                brick: brick_.Brick, *values: Any, call: Any = call
            ) -> Any:
                return call(brick, *values)

            patch = mock.patch.object(brick_.Brick, name, replacement)
            patch.start()
            self.addCleanup(patch.stop)
        return counting

    def assert_clean(self) -> None:
        """Assert that nothing is left but the volume, and it is free."""
        self.assert_nothing_left(files=self.files)
        self.assertEqual([], self.attachments())

    def cinder_id(self) -> str:
        """Return the id that Cinder has given the volume."""
        return self.driver.show(self.volume_id).generation

    def attachments(self) -> list[Any]:
        """Return all attachments that Cinder knows."""
        return list(self.cloud.ask('/attachments')['attachments'])


class BrickTest(FaultCase):
    def test_attach_when_os_brick_fails_then_nothing_is_left(self) -> None:
        for failing in ('connect', 'half'):
            with self.subTest(failing=failing):
                counting = self.count(failing)
                with self.assertRaises(errors.SourceError):
                    self.driver.attach(self.volume_id, None)
                self.assertEqual(1, counting.connects)
                self.assertEqual(1, counting.disconnects)
                self.assert_clean()

    def test_snapshot_when_os_brick_fails_then_nothing_is_left(self) -> None:
        taken = self.driver.snapshot(self.volume_id, NAME)
        counting = self.count('half')
        with self.assertRaises(errors.SourceError):
            self.driver.attach(self.volume_id, taken)
        self.assertEqual(counting.connects, counting.disconnects)
        self.driver.delete_snapshot(taken)
        self.assert_clean()

    def test_detach_when_os_brick_fails_then_the_next_one_does_it(
        self,
    ) -> None:
        counting = self.count('disconnect')
        attachment = self.driver.attach(self.volume_id, None)
        with self.assertRaises(errors.SourceError):
            self.driver.detach(attachment)
        # The storage must not take it back while the device is here.
        self.assertEqual(1, len(self.attachments()))
        self.load().detach(attachment)
        self.assertEqual(counting.connects, counting.disconnects)
        self.assert_clean()

    def test_detach_when_device_stays_then_it_is_told(self) -> None:
        driver = self.load(attach_timeout_seconds=1)
        attachment = driver.attach(self.volume_id, None)
        with (
            mock.patch.object(
                device_, 'is_gone', autospec=True, return_value=False
            ),
            self.assertRaisesRegex(errors.SourceError, 'not gone'),
        ):
            driver.detach(attachment)
        driver.detach(attachment)
        self.assert_clean()

    def test_attach_when_device_is_of_another_size_then_refused(self) -> None:
        found = self.cloud.ask(f'/volumes/{self.cinder_id()}')['volume']
        told = {**found, 'size': 2}
        counting = self.count()
        with (
            mock.patch.object(
                api_.Api, 'marked', autospec=True, return_value=[told]
            ),
            self.assertRaisesRegex(errors.SourceError, 'another one'),
        ):
            self.driver.attach(self.volume_id, None)
        self.assertEqual((1, 1), (counting.connects, counting.disconnects))
        self.assert_clean()

    def test_attach_when_process_died_at_it_then_the_next_one_clears(
        self,
    ) -> None:
        for when in ('before', 'after'):
            with self.subTest(when=when):
                self.die(when)
                self.assertEqual(1, len(self.cloud.devices()))
                # As what clears the ledger does where it knows only the
                # intent.
                self.driver.detach(self.driver.attach(self.volume_id, None))
                self.assert_clean()

    def die(self, when: str) -> None:
        """Have a process die as it attaches the volume."""
        options = json.dumps(stand.options(str(self.directory)))
        died = subprocess.run(
            [
                sys.executable,
                '-m',
                'tests.cloud.dying',
                options,
                self.volume_id,
                when,
            ],
            cwd=pathlib.Path(__file__).parents[2],
            check=False,
        )
        self.assertEqual(dying.STATUS, died.returncode)


class ApiTest(FaultCase):
    def test_attach_when_api_dies_then_the_next_one_clears(self) -> None:
        for step in ('export', 'attachment', 'complete'):
            with self.subTest(step=step):
                self.kill_at(step)
                with self.assertRaises(errors.SourceError):
                    self.driver.attach(self.volume_id, None)
                self.cloud.revive('api-noauth')
                self.driver.detach(self.driver.attach(self.volume_id, None))
                self.assert_clean()

    def kill_at(self, step: str) -> None:
        """Kill the API just before a request of it."""
        call = getattr(api_.Api, step)

        def killing(*values: Any, **named: Any) -> Any:
            patch.stop()
            self.cloud.kill('api-noauth')
            return call(*values, **named)

        patch = mock.patch.object(api_.Api, step, killing)
        patch.start()

    def test_snapshot_when_volume_service_fails_then_cinder_says_so(
        self,
    ) -> None:
        path = self.cloud.loop_files / f'volume-{self.cinder_id()}'
        path.rename(path.with_suffix('.away'))
        try:
            with self.assertRaisesRegex(errors.SourceError, 'status error'):
                self.driver.snapshot(self.volume_id, NAME)
        finally:
            path.with_suffix('.away').rename(path)
        self.driver.delete_snapshot(
            model.Snapshot(NAME, self.volume_id, stand.GIB)
        )
        self.assert_clean()

    def test_create_when_quota_is_reached_then_cinder_says_so(self) -> None:
        files = self.cloud.files()
        with self.assertRaisesRegex(errors.SourceError, '[Qq]uota'):
            self.driver.create('too-large', 100_000 * stand.GIB)
        self.assertEqual(files, self.cloud.files())

    def test_attach_when_reserved_elsewhere_then_refused(self) -> None:
        made = self.cloud.ask(
            '/attachments',
            {'attachment': {'volume_uuid': self.cinder_id(), 'mode': 'rw'}},
        )['attachment']
        try:
            with self.assertRaisesRegex(errors.SourceError, 'elsewhere'):
                self.driver.attach(self.volume_id, None)
            with self.assertRaisesRegex(errors.InUse, 'elsewhere'):
                self.driver.attach_volume(self.volume_id)
            self.assertTrue(self.driver.show(self.volume_id).in_use)
        finally:
            self.cloud.ask(f'/attachments/{made["id"]}', method='DELETE')
        self.assert_clean()


class FlowTest(test_backups.BackupCase):
    def test_backup_when_api_dies_then_doctor_clears(self) -> None:
        volume_id = self.make()
        files = self.cloud.files()
        driver = type(self.load())
        call = driver.attach

        def killing(*values: Any) -> model.Attachment:
            made = call(*values)
            self.cloud.kill('api-noauth')
            return made

        with (
            mock.patch.object(driver, 'attach', killing),
            self.assertLogs(level='WARNING'),
        ):
            # The bytes are kept: what cannot be undone is told.
            self.kit.create_backup(f'cloud:{volume_id}', mode='hot')
        self.assertEqual(1, len(self.cloud.devices()))
        self.cloud.revive('api-noauth')
        self.kit.doctor(clear=True)
        self.assert_nothing_left(files=files)
        self.assertEqual([], self.cloud.ask('/snapshots')['snapshots'])

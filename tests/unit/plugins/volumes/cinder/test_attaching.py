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


"""How attachments are made and undone, against scripted answers."""

from __future__ import annotations

import json
import pathlib
from typing import Any
from unittest import mock

from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.cinder import brick
from tests.unit.plugins.volumes.cinder import base

SHOW = f'GET /volumes/{base.VOLUME_ID}'
LISTED = 'GET /attachments'
SHOWN = 'GET /attachments/a1'
DELETED = 'DELETE /attachments/a1'
SECRET = 'chap-secret-77aa'
SIZE = 2 << 30


class AttachCase(base.ApiCase):
    """A volume that is a file of this host, as on a share."""

    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.directory, 'volume')
        self.path.touch()
        self.resize(SIZE)
        patch = mock.patch.object(
            brick.Brick, 'properties', autospec=True, return_value={'ip': 'x'}
        )
        patch.start()
        self.addCleanup(patch.stop)
        self.script(SHOW, (200, {'volume': base.VOLUME}))
        self.script(LISTED, (200, {'attachments': []}))
        self.script('POST /attachments', (200, {'attachment': {'id': 'a1'}}))
        self.script('PUT /attachments/a1', (200, {'attachment': {'id': 'a1'}}))
        self.script('POST /attachments/a1/action', (204, None))
        self.script(DELETED, (200, {'attachments': []}))
        self.tell()

    def resize(self, size: int) -> None:
        """Give the file another size."""
        with self.path.open('r+b') as file:
            file.truncate(size)

    def tell(self, **more: Any) -> None:
        """Say how the volume is connected."""
        connection = {
            'driver_volume_type': 'local',
            'device_path': str(self.path),
            'auth_password': SECRET,
            **more,
        }
        attachment = {'id': 'a1', 'connection_info': connection}
        self.script(SHOWN, (200, {'attachment': attachment}))

    def marks(self) -> list[pathlib.Path]:
        """Return the files of what is attached."""
        return list(pathlib.Path(self.directory, 'locks').rglob('*.json'))

    def assert_undone(self) -> None:
        """Assert that the attachment was deleted, and no mark is left."""
        self.assertEqual(1, self.requests().count(DELETED))
        self.assertEqual([], self.marks())


class AttachTest(AttachCase):
    def test_attach_when_it_returned_then_no_secret_is_kept(self) -> None:
        with self.assertLogs(level='DEBUG') as logs:
            made = self.load().attach(base.VOLUME_ID, None)
            self.load().detach(made)
        self.assertEqual((str(self.path), SIZE), (made.path, made.size_bytes))
        self.assertTrue(made.read_only)
        self.assertNotIn(SECRET, '\n'.join(logs.output))
        self.assertNotIn(SECRET, json.dumps(made.to_dict()))
        self.assert_undone()

    def test_attach_when_marked_then_mark_has_no_secret(self) -> None:
        self.load().attach_volume(base.VOLUME_ID)
        (mark,) = self.marks()
        self.assertNotIn(SECRET, mark.read_text())
        asked = {request: body for request, _, body in self.server.asked}
        self.assertEqual(
            {'volume_uuid': base.VOLUME_ID, 'mode': 'rw'},
            asked['POST /attachments']['attachment'],
        )
        self.assertEqual(
            {'ip': 'x', 'mode': 'rw'},
            asked['PUT /attachments/a1']['attachment']['connector'],
        )

    def test_attach_when_cinder_tells_a_format_then_it_holds(self) -> None:
        # The bytes of a file in a format are fewer than the volume's.
        self.resize(4096)
        self.tell(format='qcow2')
        made = self.load().attach(base.VOLUME_ID, None)
        self.assertEqual(('qcow2', SIZE), (made.format, made.size_bytes))

    def test_attach_when_no_format_is_told_then_raw_of_full_size(self) -> None:
        self.path.write_bytes(b'QFI\xfb')
        with self.assertRaisesRegex(errors.SourceError, 'another one'):
            self.load().attach(base.VOLUME_ID, None)
        self.assert_undone()

    def test_attach_when_connection_is_encrypted_then_refused(self) -> None:
        self.tell(encrypted=True)
        with self.assertRaises(errors.NotSupported):
            self.load().attach(base.VOLUME_ID, None)
        self.assert_undone()

    def test_attach_when_storage_refuses_then_nothing_is_left(self) -> None:
        told = {'computeFault': {'message': 'no export'}}
        self.script('PUT /attachments/a1', (500, told))
        with self.assertRaisesRegex(errors.SourceError, 'no export'):
            self.load().attach(base.VOLUME_ID, None)
        self.assert_undone()

    def test_attach_when_answer_is_lost_then_attachment_is_found(self) -> None:
        left = {'id': 'a1', 'status': 'reserved', 'instance': None}
        server = {**left, 'id': 'a2', 'instance': 'of a server'}
        self.script('POST /attachments', (0, None))
        self.script(
            LISTED,
            (200, {'attachments': []}),
            (200, {'attachments': [left, server]}),
        )
        with self.assertRaises(errors.SourceError):
            self.load().attach(base.VOLUME_ID, None)
        self.assert_undone()
        self.assertNotIn('DELETE /attachments/a2', self.requests())

    def test_attach_when_undoing_fails_then_next_one_does_it(self) -> None:
        self.script('POST /attachments/a1/action', (503, None), (204, None))
        self.script(DELETED, (503, None), (200, {'attachments': []}))
        driver = self.load()
        with (
            self.assertLogs(level='WARNING'),
            self.assertRaises(errors.SourceError),
        ):
            driver.attach(base.VOLUME_ID, None)
        self.assertEqual(1, len(self.marks()))
        made = driver.attach(base.VOLUME_ID, None)
        self.assertEqual(2, self.requests().count(DELETED))
        driver.detach(made)
        self.assertEqual([], self.marks())

    def test_attach_when_process_is_no_more_then_its_own_goes_first(
        self,
    ) -> None:
        self.load().attach(base.VOLUME_ID, None)
        (mark,) = self.marks()
        told = json.loads(mark.read_text())
        namespace, number, started = told['process'].split()
        told['process'] = f'{namespace} {number} {int(started) - 1}'
        mark.write_text(json.dumps(told))
        self.load().attach(base.VOLUME_ID, None)
        self.assertEqual(1, self.requests().count(DELETED))
        self.assertEqual(1, len(self.marks()))

    def test_attach_when_process_cannot_be_judged_then_its_own_stays(
        self,
    ) -> None:
        self.load().attach(base.VOLUME_ID, None)
        (mark,) = self.marks()
        told = json.loads(mark.read_text())
        told['process'] = 'pid:[1] 1 1'
        mark.write_text(json.dumps(told))
        self.load().attach(base.VOLUME_ID, None)
        self.assertNotIn(DELETED, self.requests())
        self.assertEqual(2, len(self.marks()))


class DetachTest(AttachCase):
    def test_detach_when_attachment_is_gone_then_succeeds(self) -> None:
        driver = self.load()
        made = driver.attach(base.VOLUME_ID, None)
        self.script(SHOWN, (404, None))
        driver.detach(made)
        driver.detach(made)
        self.assertNotIn(DELETED, self.requests())
        self.assertEqual([], self.marks())

    def test_detach_when_host_was_booted_since_then_attachment_goes(
        self,
    ) -> None:
        made = self.load().attach(base.VOLUME_ID, None)
        for mark in self.marks():
            mark.unlink()
        with mock.patch.object(
            brick.Brick, 'disconnect', autospec=True
        ) as disconnect:
            self.load().detach(model.Attachment.from_dict(made.to_dict()))
        disconnect.assert_called_once()
        self.assert_undone()

    def test_detach_when_device_has_another_user_then_it_stays(self) -> None:
        driver = self.load()
        first = driver.attach(base.VOLUME_ID, None)
        self.script(LISTED, (200, {'attachments': [{'id': 'a1'}]}))
        self.script('POST /attachments', (200, {'attachment': {'id': 'a2'}}))
        self.script('PUT /attachments/a2', (200, {'attachment': {'id': 'a2'}}))
        self.script('POST /attachments/a2/action', (204, None))
        self.script('DELETE /attachments/a2', (200, {'attachments': []}))
        self.script('GET /attachments/a2', *self.server.answers[SHOWN])
        second = driver.attach(base.VOLUME_ID, None)
        with mock.patch.object(
            brick.Brick, 'disconnect', autospec=True
        ) as disconnect:
            driver.detach(first)
            disconnect.assert_not_called()
            driver.detach(second)
            disconnect.assert_called_once()
        self.assertEqual([], self.marks())

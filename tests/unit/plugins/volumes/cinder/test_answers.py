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


"""What the driver makes of Cinder's answers, the bad ones above all."""

from __future__ import annotations

import subprocess
import sys

from backupkit import errors
from backupkit import model
from tests.unit.plugins.volumes.cinder import base

SHOW = f'GET /volumes/{base.VOLUME_ID}'
SHOWN = (200, {'volume': base.VOLUME})
SNAPSHOT = {
    'id': 's1',
    'name': 'backupkit-1',
    'volume_id': base.VOLUME_ID,
    'size': 2,
}


class ShowTest(base.ApiCase):
    def test_show_when_there_is_one_then_described(self) -> None:
        self.script(SHOW, SHOWN)
        shown = self.load().show(base.VOLUME_ID)
        self.assertEqual(2 << 30, shown.size_bytes)
        self.assertEqual(base.VOLUME_ID, shown.generation)
        self.assertIs(False, shown.in_use)
        self.assertEqual('db', shown.properties['name'])

    def test_show_when_asked_then_version_and_project_are_told(self) -> None:
        self.script(SHOW, SHOWN)
        self.load(microversion='3.59').show(base.VOLUME_ID)
        _, headers, _ = self.server.asked[-1]
        self.assertEqual('volume 3.59', headers['OpenStack-API-Version'])
        self.assertEqual('backupkit:p', headers['X-Auth-Token'])

    def test_show_when_answer_is_bad_then_cinders_words_are_told(self) -> None:
        for status, kind, error in (
            (400, 'badRequest', errors.SourceError),
            (401, 'unauthorized', errors.SourceError),
            (403, 'forbidden', errors.SourceError),
            (404, 'itemNotFound', errors.VolumeNotFound),
            (406, 'notAcceptable', errors.SourceError),
            (409, 'conflictingRequest', errors.SourceError),
            (413, 'overLimit', errors.SourceError),
            (500, 'computeFault', errors.SourceError),
            (503, 'serviceUnavailable', errors.SourceError),
        ):
            with self.subTest(status=status):
                told = {kind: {'code': status, 'message': 'it is  so'}}
                self.script(SHOW, (status, told))
                with self.assertRaisesRegex(error, 'it is so') as caught:
                    self.load().show(base.VOLUME_ID)
                self.assertEqual(status >= 500, caught.exception.retryable)

    def test_show_when_nothing_fits_then_error_is_of_ours(self) -> None:
        answers: list[base.Answer]
        answers = [(200, {'x': 1}), (200, None), (200, []), (0, None)]
        for answer in answers:
            with self.subTest(answer=answer):
                self.script(SHOW, answer)
                with self.assertRaises(errors.SourceError):
                    self.load().show(base.VOLUME_ID)

    def test_show_when_redirected_then_token_is_not_sent_there(self) -> None:
        self.script(SHOW, (302, None))
        with self.assertRaises(errors.BackupkitError):
            self.load().show(base.VOLUME_ID)
        self.assertEqual([SHOW], self.requests())

    def test_list_when_there_are_pages_then_all_are_told(self) -> None:
        other = {**base.VOLUME, 'id': base.VOLUME_ID[:-1] + '8'}
        ours = {**other, 'metadata': {'backupkit_snapshot': 'x'}}
        broken = {**other, 'status': 'error'}
        links = [{'rel': 'next', 'href': 'elsewhere'}]
        self.script(
            'GET /volumes/detail',
            (200, {'volumes': [base.VOLUME], 'volumes_links': links}),
            (200, {'volumes': [other, ours, broken]}),
        )
        listed = [volume.volume_id for volume in self.load().list()]
        self.assertEqual([base.VOLUME_ID, other['id']], listed)

    def test_show_when_encrypted_then_nothing_is_made_of_it(self) -> None:
        secret = {**base.VOLUME, 'encrypted': True, 'encryption_key_id': 'k9'}
        self.script(SHOW, (200, {'volume': secret}))
        driver = self.load()
        self.assertEqual(
            'k9', driver.show(base.VOLUME_ID).properties['encryption_key_id']
        )
        with self.assertRaisesRegex(errors.NotSupported, 'k9'):
            driver.snapshot(base.VOLUME_ID, 'backupkit-1')
        with self.assertRaisesRegex(errors.NotSupported, 'k9'):
            driver.attach(base.VOLUME_ID, None)
        with self.assertRaisesRegex(errors.NotSupported, 'k9'):
            driver.attach_volume(base.VOLUME_ID)
        self.assertEqual({SHOW}, set(self.requests()))


class WaitTest(base.ApiCase):
    def setUp(self) -> None:
        super().setUp()
        self.script(SHOW, SHOWN)
        self.script('GET /snapshots/detail', (200, {'snapshots': []}))
        self.script('POST /snapshots', (202, {'snapshot': SNAPSHOT}))

    def shown(self, status: str) -> base.Answer:
        """Return the snapshot in a state."""
        return 200, {'snapshot': {**SNAPSHOT, 'status': status}}

    def test_snapshot_when_it_takes_time_then_it_is_waited_for(self) -> None:
        self.script(
            'GET /snapshots/s1',
            self.shown('creating'),
            (503, None),
            self.shown('available'),
        )
        taken = self.load().snapshot(base.VOLUME_ID, 'backupkit-1')
        self.assertEqual(
            model.Snapshot('backupkit-1', base.VOLUME_ID, 2 << 30), taken
        )
        _, _, body = self.server.asked[2]
        self.assertIs(True, body['snapshot']['force'])

    def test_snapshot_when_it_takes_too_long_then_status_is_told(self) -> None:
        self.script('GET /snapshots/s1', self.shown('creating'))
        with self.assertRaisesRegex(errors.SourceError, '1 s.*creating'):
            self.load().snapshot(base.VOLUME_ID, 'backupkit-1')

    def test_snapshot_when_it_fails_then_cinders_words_are_told(self) -> None:
        self.script('GET /snapshots/s1', self.shown('error'))
        words = {'resource_uuid': 's1', 'user_message': 'no space there'}
        self.script('GET /messages', (200, {'messages': [words]}))
        with self.assertRaisesRegex(errors.SourceError, 'no space there'):
            self.load().snapshot(base.VOLUME_ID, 'backupkit-1')

    def test_snapshot_when_there_is_one_then_none_is_made(self) -> None:
        self.script('GET /snapshots/detail', (200, {'snapshots': [SNAPSHOT]}))
        self.script('GET /snapshots/s1', self.shown('available'))
        self.load().snapshot(base.VOLUME_ID, 'backupkit-1')
        self.assertNotIn('POST /snapshots', self.requests())

    def test_delete_snapshot_when_it_stays_then_it_is_told(self) -> None:
        self.script('GET /volumes/detail', (200, {'volumes': []}))
        self.script('GET /snapshots/detail', (200, {'snapshots': [SNAPSHOT]}))
        self.script('DELETE /snapshots/s1', (202, None))
        self.script('GET /snapshots/s1', self.shown('error_deleting'))
        with self.assertRaisesRegex(errors.SourceError, 'error_deleting'):
            self.load().delete_snapshot(
                model.Snapshot('backupkit-1', base.VOLUME_ID, 0)
            )


class CreateTest(base.ApiCase):
    def setUp(self) -> None:
        super().setUp()
        self.script('GET /volumes/detail', (200, {'volumes': []}))
        self.script('POST /volumes', (202, {'volume': base.VOLUME}))

    def test_create_when_it_fails_then_volume_is_deleted(self) -> None:
        failed = {**base.VOLUME, 'status': 'error'}
        self.script(SHOW, (200, {'volume': failed}), (404, None))
        self.script(f'DELETE /volumes/{base.VOLUME_ID}', (202, None))
        self.script('GET /attachments', (200, {'attachments': []}))
        with self.assertRaisesRegex(errors.SourceError, 'status error'):
            self.load().create('db02', 1 << 30)
        self.assertIn(f'DELETE /volumes/{base.VOLUME_ID}', self.requests())

    def test_create_when_size_is_no_gib_then_refused(self) -> None:
        for size in (0, 1, (1 << 30) + 1, -(1 << 30)):
            with self.assertRaises(errors.UsageError):
                self.load().create('db02', size)

    def test_create_when_name_is_unfit_then_refused(self) -> None:
        for name in ('', '-x', 'a b', 'a/b', base.VOLUME_ID, 'n' * 251):
            with self.assertRaises(errors.UsageError):
                self.load().create(name, 1 << 30)

    def test_create_like_when_property_is_unknown_then_refused(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, 'colour'):
            self.load().create_like(
                'db02', 1 << 30, {'service': 'cinder', 'colour': 'red'}
            )

    def test_create_like_when_of_another_driver_then_made(self) -> None:
        self.script(SHOW, SHOWN)
        self.load().create_like('db02', 1 << 30, {'colour': 'red'})
        body = next(b for r, _, b in self.server.asked if r == 'POST /volumes')
        self.assertEqual(
            {
                'name': 'db02',
                'size': 1,
                'metadata': {'backupkit_volume_id': 'db02'},
            },
            body['volume'],
        )


class LoginTest(base.ApiCase):
    def test_login_when_an_option_is_missing_then_it_is_named(self) -> None:
        for options, missing in (
            ({'auth_type': 'noauth', 'project_id': ''}, 'project_id'),
            ({'auth_type': 'v3password'}, 'auth_url'),
            ({'cloud': 'x', 'clouds_file': '/nowhere'}, 'cloud = x'),
        ):
            with self.assertRaisesRegex(errors.ConfigurationError, missing):
                self.load(**options).show(base.VOLUME_ID)

    def test_driver_when_imported_then_nothing_big_is(self) -> None:
        script = (
            'import sys\n'
            'from backupkit_plugins.volumes import cinder\n'
            'big = {"openstack", "keystoneauth1", "os_brick", "requests"}\n'
            'print(*big & sys.modules.keys())\n'
        )
        done = subprocess.run(
            [sys.executable, '-c', script], capture_output=True, check=False
        )
        self.assertEqual((0, b'\n'), (done.returncode, done.stdout))

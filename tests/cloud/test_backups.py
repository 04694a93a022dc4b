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

"""Volumes of the real cloud, backed up and restored from end to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import json
import os
import pathlib
import subprocess
import uuid

from backupkit import api
from backupkit import errors
from backupkit import model
from tests.cloud import cinder
from tests.cloud import stand
from tests.servers import process

MIB = 1 << 20
#: The secret in the connection information of the cloud's storage.
SECRET = b'chap-secret-2e8b6d41'

_CONFIGURATION = """\
[DEFAULT]
enabled_backends = cloud
enabled_targets = repo
default_target = repo
state_path = {root}/state
[catalog]
connection = sqlite:///{root}/catalog.sqlite
[backend:cloud]
driver = cinder
{options}
[target:repo]
driver = posix
backup_posix_path = {root}/repo
[privsep_osbrick]
helper_command = {helper}
"""


class BackupCase(stand.CloudCase):
    """A backend in the cloud, and a target below a directory."""

    def setUp(self) -> None:
        super().setUp()
        (self.directory / 'repo').mkdir()
        self.kit = self.connect(
            stand.options(str(self.directory), volume_timeout_seconds=60)
        )
        self.files = self.cloud.files()

    def connect(self, options: dict[str, object]) -> api.Backupkit:
        """Return backupkit with these options of the backend."""
        self.configuration = self.directory / f'{uuid.uuid4().hex}.conf'
        lines = '\n'.join(f'{name} = {options[name]}' for name in options)
        self.configuration.write_text(
            _CONFIGURATION.format(
                root=self.directory, options=lines, helper=stand.HELPER
            )
        )
        kit = api.connect([str(self.configuration)])
        self.addCleanup(kit.close)
        return kit

    def make(self, **wish: object) -> str:
        """Make a volume as its user would; return its id."""
        made = self.cloud.ask(
            '/volumes', {'volume': {'size': 1, 'volume_type': 'loop', **wish}}
        )
        volume_id = str(made['volume']['id'])
        self.addCleanup(self.load().delete, volume_id)
        self.cloud.wait_volume(volume_id)
        return volume_id

    def delete_with_test(self, volume: str) -> None:
        """Have a volume that was restored deleted after the test."""
        self.addCleanup(self.load().delete, volume.partition(':')[2])

    def file(self, volume_id: str) -> pathlib.Path:
        """Return the file in which the cloud keeps a volume."""
        found = self.load().show(volume_id)
        return self.cloud.loop_files / f'volume-{found.generation}'

    def write(self, volume_id: str, offset: int, data: bytes) -> None:
        """Write to a volume that nobody has attached."""
        with self.file(volume_id).open('r+b') as file:
            file.seek(offset)
            file.write(data)

    def read(self, volume_id: str, offset: int, length: int) -> bytes:
        """Read from a volume that nobody has attached."""
        with self.file(volume_id).open('rb') as file:
            file.seek(offset)
            return file.read(length)

    @contextlib.contextmanager
    def server(self, volume_id: str) -> Iterator[pathlib.Path]:
        """Have a volume attached by somebody else; yield its device."""
        made = self.cloud.ask(
            '/attachments',
            {
                'attachment': {
                    'volume_uuid': volume_id,
                    'connector': {'host': 'server', 'ip': '127.0.0.1'},
                    'mode': 'rw',
                }
            },
        )['attachment']
        path = f'/attachments/{made["id"]}'
        try:
            self.cloud.ask(f'{path}/action', {'os-complete': {}})
            yield pathlib.Path(made['connection_info']['device_path'])
        finally:
            self.cloud.ask(path, method='DELETE')


class BackupTest(BackupCase):
    def test_backup_when_volume_is_in_use_then_each_state_comes_back(
        self,
    ) -> None:
        volume_id = self.make(name='db')
        files = self.cloud.files()
        before, after = b'first' * MIB, b'second' * MIB
        with self.server(volume_id) as device:
            _write(device, 5 * MIB, before)
            first = self.kit.create_backup(f'cloud:{volume_id}', mode='hot')
            _write(device, 900 * MIB, after)
            second = self.kit.create_backup(f'cloud:{volume_id}')
            self.assertTrue(self.kit.show_volume(f'cloud:{volume_id}').in_use)
        self.assert_nothing_left(files=files)
        self.assertEqual(model.BackupKind.INCREMENTAL, second.kind)
        self.assertLess(second.changed_bytes, first.changed_bytes + 7 * MIB)

        made = self.kit.restore_backup(second.backup_id, new='cloud:again')
        self.delete_with_test(made.volume)
        self.assertEqual(before, self.read('again', 5 * MIB, len(before)))
        self.assertEqual(after, self.read('again', 900 * MIB, len(after)))

        self.kit.restore_backup(
            first.backup_id, to=f'cloud:{volume_id}', overwrite=True
        )
        self.assertEqual(before, self.read(volume_id, 5 * MIB, len(before)))
        gone = self.read(volume_id, 900 * MIB, len(after))
        self.assertEqual(len(after), gone.count(0))
        self.assertEqual([], self.cloud.devices())

    def test_backup_when_secrets_are_told_then_nobody_keeps_them(self) -> None:
        volume_id = self.make()
        self.write(volume_id, 0, b'data')
        with self.assertLogs(level='DEBUG') as logs:
            made = self.kit.create_backup(f'cloud:{volume_id}', mode='cold')
            self.kit.restore_backup(
                made.backup_id, to=f'cloud:{volume_id}', overwrite=True
            )
        told = '\n'.join(logs.output).encode()
        self.assertNotIn(SECRET, told)
        for path in self.directory.rglob('*'):
            if path.is_file():
                self.assertNotIn(SECRET, path.read_bytes(), str(path))

    def test_backup_when_cold_and_in_use_then_refused(self) -> None:
        volume_id = self.make()
        files = self.cloud.files()
        with self.server(volume_id), self.assertRaises(errors.InUse):
            self.kit.create_backup(f'cloud:{volume_id}', mode='cold')
        self.assert_nothing_left(files=files)

    def test_restore_when_volume_is_in_use_then_refused(self) -> None:
        volume_id = self.make()
        made = self.kit.create_backup(f'cloud:{volume_id}', mode='cold')
        with self.server(volume_id) as device:
            _write(device, 0, b'in use')
            with self.assertRaises(errors.InUse):
                self.kit.restore_backup(
                    made.backup_id, to=f'cloud:{volume_id}', overwrite=True
                )
        self.assertEqual(b'in use', self.read(volume_id, 0, 6))


class MetadataTest(BackupCase):
    def setUp(self) -> None:
        super().setUp()
        self.volume_id = self.make(
            name='system disk',
            description='of the shop',
            volume_type=cinder.SHARED_TYPE,
            metadata={'owner': 'shop', 'tier': 'gold'},
        )
        action = f'/volumes/{self.volume_id}/action'
        image = {'metadata': {'os_distro': 'debian', 'min_ram': '512'}}
        self.cloud.ask(action, {'os-set_image_metadata': image})
        self.cloud.ask(action, {'os-set_bootable': {'bootable': True}})
        self.backup = self.kit.create_backup(f'cloud:{self.volume_id}')

    def describe(self, volume_id: str) -> dict[str, object]:
        """Return what the cloud tells of a volume that could be restored."""
        found = self.cloud.ask(f'/volumes/{volume_id}')['volume']
        fields = ('name', 'description', 'volume_type', 'availability_zone')
        told = {name: found[name] for name in (*fields, 'bootable')}
        told['image'] = found['volume_image_metadata']
        told['metadata'] = {
            key: value
            for key, value in found['metadata'].items()
            if not key.startswith('backupkit')
        }
        return {**told, 'multiattach': found['multiattach']}

    def restore(
        self, properties: Mapping[str, str] | None = None
    ) -> dict[str, object]:
        """Restore to a new volume; return what the cloud tells of it."""
        made = self.kit.restore_backup(
            self.backup.backup_id, new='cloud:restored', properties=properties
        )
        self.delete_with_test(made.volume)
        shown = self.kit.show_volume(made.volume)
        return self.describe(shown.generation)

    def test_restore_when_new_then_metadata_is_the_same(self) -> None:
        self.assertEqual(self.describe(self.volume_id), self.restore())

    def test_restore_when_overridden_then_metadata_is_as_told(self) -> None:
        wanted = self.describe(self.volume_id)
        wanted |= {'name': 'copy', 'volume_type': 'loop', 'multiattach': False}
        wanted['metadata'] = {'owner': 'tests', 'tier': 'gold'}
        found = self.restore(
            properties={
                'name': 'copy',
                'volume_type': 'loop',
                'metadata.owner': 'tests',
            }
        )
        self.assertEqual(wanted, found)

    def test_restore_when_type_is_unknown_then_cinder_says_so(self) -> None:
        files = self.cloud.files()
        with self.assertRaisesRegex(errors.SourceError, 'no-such-type'):
            self.restore(properties={'volume_type': 'no-such-type'})
        with self.assertRaisesRegex(errors.UsageError, "'colour'"):
            self.restore(properties={'colour': 'red'})
        self.assertEqual(files, self.cloud.files())


class CommandTest(BackupCase):
    def run_command(self, *words: str) -> str:
        """Run the command, which must succeed; return what it prints."""
        done = subprocess.run(
            [
                str(process.SCRIPTS / 'backupkit'),
                '--config-file',
                str(self.configuration),
                *words,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn(SECRET.decode(), done.stdout + done.stderr)
        return done.stdout.strip()

    def test_command_when_restored_with_overrides_then_they_hold(self) -> None:
        volume_id = self.make(name='db')
        self.write(volume_id, 0, b'data')
        override = self.directory / 'override.json'
        override.write_text('{"description": "restored"}')
        with self.server(volume_id):
            backup_id = self.run_command(
                *('--debug', 'backup', 'create', f'cloud:{volume_id}'),
                *('--mode', 'hot', '-f', 'value', '-c', 'id'),
            )
        self.run_command(
            *('backup', 'restore', backup_id, '--new', 'cloud:by-command'),
            *('--meta-override', str(override)),
        )
        self.delete_with_test('cloud:by-command')
        shown = self.kit.show_volume('cloud:by-command')
        found = self.cloud.ask(f'/volumes/{shown.generation}')['volume']
        self.assertEqual('restored', found['description'])
        self.assertEqual('db', found['name'])
        self.assertEqual(b'data', self.read('by-command', 0, 4))
        self.assertEqual([], self.cloud.devices())


class LoginTest(BackupCase):
    def through_keystone(self, **more: object) -> dict[str, object]:
        """Return options that log in at Keystone."""
        options = stand.options(str(self.directory))
        for name in ('auth_type', 'endpoint', 'project_id', 'username'):
            del options[name]
        return {**options, **more}

    def test_backup_when_logged_in_at_keystone_then_good(self) -> None:
        options = self.through_keystone(
            auth_url=self.cloud.keystone.url,
            username=cinder.USER,
            password=cinder.PASSWORD,
            project_name=cinder.PROJECT,
        )
        self.assert_cycle(self.connect(options))

    def clouds(self, **secret: str) -> dict[str, object]:
        """Return options with a cloud; what is secret is in secure.yaml."""
        login = {
            'auth_url': self.cloud.keystone.url,
            'username': cinder.USER,
            'password': cinder.PASSWORD,
            'project_name': cinder.PROJECT,
            'user_domain_id': 'default',
            'project_domain_id': 'default',
        }
        known = {name: login[name] for name in login.keys() - secret.keys()}
        for name, auth in (('clouds.yaml', known), ('secure.yaml', secret)):
            # YAML contains JSON.
            (self.directory / name).write_text(
                json.dumps({'clouds': {'mini': {'auth': auth}}})
            )
        path = self.directory / 'clouds.yaml'
        return self.through_keystone(cloud='mini', clouds_file=str(path))

    def test_backup_when_clouds_yaml_says_how_then_good(self) -> None:
        self.assert_cycle(self.connect(self.clouds()))

    def test_list_when_password_is_in_secure_yaml_then_good(self) -> None:
        kit = self.connect(self.clouds(password=cinder.PASSWORD))
        name = f'cloud:secure-{uuid.uuid4().hex[:8]}'
        kit.create_volume(name, stand.GIB)
        self.addCleanup(kit.delete_volume, name)
        self.assertEqual([name], [one.volume for one in kit.list_volumes()])

    def test_list_when_password_is_wrong_then_it_is_not_told(self) -> None:
        options = self.through_keystone(
            auth_url=self.cloud.keystone.url,
            username=cinder.USER,
            password='wrong-password-9f8e',
            project_name=cinder.PROJECT,
        )
        with self.assertRaises(errors.SourceError) as caught:
            self.connect(options).list_volumes()
        self.assertIn('credentials', str(caught.exception))
        self.assertNotIn('9f8e', str(caught.exception))

    def assert_cycle(self, kit: api.Backupkit) -> None:
        """Assert that a volume is made, backed up and restored."""
        name = f'cloud:login-{uuid.uuid4().hex[:8]}'
        made = kit.create_volume(name, stand.GIB)
        self.addCleanup(kit.delete_volume, name)
        path = self.cloud.loop_files / f'volume-{made.generation}'
        with path.open('r+b') as file:
            file.write(b'as it was')
        backup = kit.create_backup(name)
        with path.open('r+b') as file:
            file.write(b'otherwise')
        kit.restore_backup(backup.backup_id, to=name, overwrite=True)
        with path.open('rb') as file:
            self.assertEqual(b'as it was', file.read(9))
        self.assertIn(name, [found.volume for found in kit.list_volumes()])


def _write(device: pathlib.Path, offset: int, data: bytes) -> None:
    """Write to a device that stays open elsewhere, and make it durable."""
    with device.open('r+b', buffering=0) as file:
        file.seek(offset)
        file.write(data)
        os.fsync(file.fileno())

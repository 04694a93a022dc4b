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

"""Reading the configuration."""

import os
import pathlib
import stat
import tempfile
import unittest
from unittest import mock

from oslo_config import cfg

from backupkit import conf
from backupkit.conf import loading
from backupkit import errors


class LoadTest(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.home = pathlib.Path(made.name, 'home')
        self.home.mkdir()
        environment = {'HOME': str(self.home), 'XDG_DATA_HOME': ''}
        patched = mock.patch.dict(os.environ, environment)
        patched.start()
        self.addCleanup(patched.stop)
        # What the machine that runs the tests has in /etc counts for nobody.
        found = mock.patch.object(
            cfg,
            '_get_config_dirs',
            autospec=True,
            return_value=[str(self.home)],
        )
        found.start()
        self.addCleanup(found.stop)

    def write(self, name: str, text: str) -> str:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def test_when_no_file_is_there_then_the_embedded_one_works(self) -> None:
        loaded = conf.load()
        state_path = self.home / '.local/share/backupkit'
        self.assertEqual(['local'], loaded.enabled_backends)
        self.assertEqual(['local'], loaded.enabled_targets)
        self.assertEqual('local', loaded.default_target)
        self.assertEqual(str(state_path), loaded.state_path)
        self.assertEqual(
            f'sqlite:///{state_path}/catalog.sqlite', loaded.catalog.connection
        )

    def test_when_the_embedded_one_works_then_its_places_are_made(
        self,
    ) -> None:
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        for mask in (0o000, 0o022, 0o077):
            os.umask(mask)
            base = self.home / f'data{mask}'
            with mock.patch.dict(os.environ, {'XDG_DATA_HOME': str(base)}):
                conf.load()
            for name in ('', 'volumes', 'repository'):
                mode = (base / 'backupkit' / name).stat().st_mode
                self.assertEqual(0o770, stat.S_IMODE(mode), (mask, name))

    def test_when_the_places_exist_then_they_stay_as_they_are(self) -> None:
        state_path = self.home / '.local/share/backupkit'
        state_path.mkdir(parents=True)
        state_path.chmod(0o700)
        conf.load()
        self.assertEqual(0o700, stat.S_IMODE(state_path.stat().st_mode))

    def test_when_a_place_cannot_be_made_then_it_is_told(self) -> None:
        (self.home / '.local').write_text('in the way')
        with self.assertRaisesRegex(
            errors.ConfigurationError, r'cannot make .*/backupkit.*--config'
        ):
            conf.load()

    def test_when_the_data_home_is_relative_then_it_is_ignored(self) -> None:
        with mock.patch.dict(os.environ, {'XDG_DATA_HOME': 'here'}):
            self.assertEqual(
                self.home / '.local/share/backupkit', loading.user_data_path()
            )

    def test_when_a_file_is_given_then_no_other_is_read(self) -> None:
        self.write('backupkit.conf', '[DEFAULT]\nstate_path = /found\n')
        self.write('backupkit.conf.d/x.conf', '[DEFAULT]\nstate_path = /d\n')
        given = self.write('own', '[DEFAULT]\ncopy_threads = 3\n')
        loaded = conf.load([given])
        self.assertEqual('/var/lib/backupkit', loaded.state_path)
        self.assertEqual(3, loaded.copy_threads)
        self.assertEqual([], loaded.enabled_backends)
        self.assertEqual([given], loading.files(loaded))
        self.assertFalse((self.home / '.local').exists())

    def test_when_files_are_given_then_the_last_wins(self) -> None:
        first = self.write('1', '[DEFAULT]\ncopy_threads = 1\nstate_path=/a')
        second = self.write('2', '[DEFAULT]\ncopy_threads = 2\n')
        loaded = conf.load([first, second])
        self.assertEqual(2, loaded.copy_threads)
        self.assertEqual('/a', loaded.state_path)

    def test_when_a_directory_is_given_then_its_files_are_read(self) -> None:
        first = self.write('d/10.conf', '[DEFAULT]\ncopy_threads = 1\n')
        second = self.write('d/20.conf', '[DEFAULT]\ncopy_threads = 2\n')
        self.write('d/30.txt', 'not for us')
        loaded = conf.load(config_dirs=[str(self.home / 'd')])
        self.assertEqual(2, loaded.copy_threads)
        self.assertEqual([first, second], loading.files(loaded))

    def test_when_a_file_is_found_then_it_is_read(self) -> None:
        self.write('backupkit.conf', '[DEFAULT]\nstate_path = /found\n')
        loaded = conf.load()
        self.assertEqual('/found', loaded.state_path)
        self.assertEqual([], loaded.enabled_backends)
        self.assertFalse((self.home / '.local').exists())

    def test_when_loaded_again_then_nothing_of_before_is_left(self) -> None:
        loaded = conf.load()
        given = self.write('own', '')
        conf.load([given], conf=loaded)
        self.assertEqual('/var/lib/backupkit', loaded.state_path)
        self.assertEqual([], loaded.enabled_targets)

    def test_when_a_file_cannot_be_read_then_it_is_named(self) -> None:
        directory = self.home / 'directory'
        directory.mkdir()
        binary = self.home / 'binary'
        binary.write_bytes(b'\xff\xfe\x00')
        for name, told in (
            (str(self.home / 'nowhere'), 'there is no file .*nowhere'),
            (str(directory), 'directory'),
            (str(binary), 'decode'),
            (self.write('text', 'copy_threads = 1\n'), 'Section'),
            (self.write('open', '[DEFAULT\n'), 'Invalid section'),
        ):
            with self.assertRaisesRegex(
                errors.ConfigurationError, f'cannot read .*{told}'
            ):
                conf.load([name])
        with self.assertRaisesRegex(errors.ConfigurationError, 'no directory'):
            conf.load(config_dirs=[str(self.home / 'nowhere')])

    def test_when_permission_lacks_then_it_is_said(self) -> None:
        name = self.write('secret', '')
        with (
            mock.patch.object(
                cfg.ConfigParser,
                'parse',
                autospec=True,
                side_effect=PermissionError(13, ''),
            ),
            self.assertRaisesRegex(
                errors.ConfigurationError, 'no permission to read .*secret'
            ),
        ):
            conf.load([name])

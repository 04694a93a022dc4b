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

from __future__ import annotations

from backupkit import errors
from backupkit.privileged import credentials
from tests.unit.privileged import stage

PATH = '/etc/smb'
SECRET = 'pa,ss=w\u00f6rd %s $HOME \\ "x" '


class ReadTest(stage.StageTest):
    def put(self, text: str | bytes, mode: int = 0o600) -> None:
        path = self.top / 'etc/smb'
        if isinstance(text, str):
            text = text.encode()
        path.write_bytes(text)
        path.chmod(mode)

    def test_when_all_is_given_then_it_is_taken_as_it_is(self) -> None:
        self.put(
            f'# for backups\n\n  username=backup\npassword={SECRET}\n'
            'domain=EXAMPLE\nother=x\nusername\n'
        )
        self.assertEqual(
            {'username': 'backup', 'password': SECRET, 'domain': 'EXAMPLE'},
            credentials.read(PATH),
        )

    def test_when_there_is_no_domain_then_none_is_told(self) -> None:
        self.put('username=backup\npassword=x', 0o400)
        self.assertEqual(
            {'username': 'backup', 'password': 'x'}, credentials.read(PATH)
        )

    def test_when_it_is_no_text_then_its_bytes_are_kept(self) -> None:
        self.put(b'username=backup\npassword=\xff\xfe\n')
        password = credentials.read(PATH)['password']
        self.assertEqual(
            b'\xff\xfe', password.encode(errors='surrogateescape')
        )

    def test_when_others_may_read_it_then_it_is_refused(self) -> None:
        for mode in (0o640, 0o604, 0o610, 0o601, 0o644):
            self.put(f'username=backup\npassword={SECRET}\n', mode)
            with self.assertRaises(errors.PrivilegeError) as caught:
                credentials.read(PATH)
            self.assertNotIn('pa,ss', str(caught.exception))
            self.assertIn('chmod 600', str(caught.exception))

    def test_when_others_may_write_it_then_it_is_refused(self) -> None:
        for mode in (0o620, 0o602, 0o666):
            self.put('username=backup\npassword=x\n', mode)
            with self.assertRaisesRegex(errors.PrivilegeError, 'must belong'):
                credentials.read(PATH)

    def test_when_something_is_missing_then_that_is_told(self) -> None:
        for text, missing in (
            ('', 'username'),
            ('password=secret', 'username'),
            ('username=', 'username'),
            ('username=backup', 'password'),
            ('username=backup\npassword=', 'password'),
            ('username=\0backup\npassword=secret', 'username'),
            ('Username=backup\npassword=secret', 'username'),
        ):
            self.put(text)
            with self.assertRaises(errors.ConfigurationError) as caught:
                credentials.read(PATH)
            self.assertIn(f'no line {missing}=', str(caught.exception))
            self.assertNotIn('secret', str(caught.exception))

    def test_when_it_is_no_file_then_it_is_refused(self) -> None:
        for path in ('/etc', '/etc/none', 'etc/smb', '/etc/../etc/smb', ''):
            with self.assertRaises(errors.PrivilegeError):
                credentials.read(path)

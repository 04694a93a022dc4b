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

"""The real daemon, started as root as it always is, on this host's kernel.

mount(8) is replaced by a script that mounts a tmpfs with the share for its
name, so that no NFS is needed; all else is as it is in use.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

SHARE = 'server:/export'

_MOUNT = """\
#!/bin/sh
printf '%s\\n' "$*" >> {top}/ran
cat /proc/self/status > {top}/status
case $4 in *vers=4.2*) echo 'Protocol not supported' >&2; exit 32;; esac
exec /bin/mount -t tmpfs -o size=1m,mode=0777,nosuid,nodev,noexec "$6" "$7"
"""
_HELPER = """\
import dataclasses
import sys
from backupkit.privileged import kinds, programs, serve
programs.MOUNT = {mount!r}
kinds.KINDS['nfs'] = dataclasses.replace(
    kinds.NFS, filesystems=frozenset({{'tmpfs'}})
)
serve.main(sys.argv[1:])
"""
#: A client, which works as the service user that it is told.
_CLIENT = """\
import dataclasses
import json
import os
import sys
from backupkit import conf as conf_
from backupkit import errors
from backupkit import mounts
from backupkit.privileged import kinds
kinds.KINDS['nfs'] = dataclasses.replace(
    kinds.NFS, filesystems=frozenset({{'tmpfs'}})
)
conf = conf_.load([{configuration!r}])
conf.register_opts(mounts.get_options(), group='target:share')
mounts.configure(conf)
section = conf['target:share']
{work}
"""


class PrivilegedTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        if os.geteuid() != 0:
            self.fail('these tests mount, and need root')
        # Every part of the path must be root's own, so not below /tmp.
        self.top = pathlib.Path(
            tempfile.mkdtemp(prefix='backupkit-test-', dir='/run')
        )
        self.addCleanup(shutil.rmtree, self.top)
        self.addCleanup(self._unmount_all)
        self.top.chmod(0o755)
        self.base = self.top / 'mnt'
        self.write('mount', _MOUNT.format(top=self.top), 0o755)
        self.helper = self.write(
            'helper.py', _HELPER.format(mount=str(self.top / 'mount'))
        )
        self.configuration = self.write('backupkit.conf', '')
        self.configure('')

    def _unmount_all(self) -> None:
        for path in self.mounted():
            subprocess.run(['umount', '-l', path], check=True)

    def write(self, name: str, text: str, mode: int = 0o644) -> str:
        path = self.top / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def configure(self, more: str) -> None:
        self.write(
            'backupkit.conf',
            f'[target:share]\nbackup_nfs_share = {SHARE}\n'
            f'backup_nfs_mount_options = hard\n'
            f'backup_mount_point_base = {self.base}\n{more}\n'
            f'[privsep_mounts]\nhelper_command = {sys.executable} '
            f'{self.helper} --config-file {self.configuration}\n',
        )

    def mounted(self) -> list[str]:
        lines = pathlib.Path('/proc/self/mounts').read_text().splitlines()
        places = [line.split()[1] for line in lines]
        return [place for place in places if place.startswith(str(self.top))]

    def start(self, work: str) -> subprocess.Popen[str]:
        code = _CLIENT.format(
            configuration=self.configuration, work=textwrap.dedent(work)
        )
        return subprocess.Popen(
            [sys.executable, '-c', code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run_client(self, work: str) -> str:
        client = self.start(work)
        told, _none = client.communicate(timeout=120)
        self.assertEqual(0, client.returncode)
        return told

    def test_when_a_client_uses_a_share_then_it_is_mounted_meanwhile(
        self,
    ) -> None:
        told = self.run_client(
            """
            with mounts.mounted('target:share', section) as mount:
                fd = os.open(mount.path, os.O_RDONLY)
                mount.check(fd)
                assert os.fstat(fd).st_dev == mount.device
                os.close(fd)
                with mounts.mounted('target:share', section) as again:
                    assert again == mount
                print(json.dumps([mount.path, mount.source]))
            """
        )
        path, source = json.loads(told)
        self.assertEqual(SHARE, source)
        self.assertEqual([], self.mounted())
        self.assertEqual(0, os.stat(path).st_mode & 0o7777)
        ran = (self.top / 'ran').read_text().splitlines()
        self.assertEqual(
            [
                f'-t nfs -o hard,retry=0,vers={version},nosuid,nodev,noexec '
                f'-- {SHARE} {path}'
                for version in ('4.2', '4.1')
            ],
            ran,
        )

    def test_when_it_mounts_then_it_has_one_capability(self) -> None:
        self.run_client(
            """
            with mounts.mounted('target:share', section):
                pass
            """
        )
        lines = (self.top / 'status').read_text().splitlines()
        status = {line.split()[0]: line.split()[1:] for line in lines}
        self.assertEqual(['0', '0', '0', '0'], status['Uid:'])
        self.assertEqual(['1'], status['NoNewPrivs:'])
        admin = f'{1 << 21:016x}'
        self.assertEqual([admin], status['CapEff:'])
        self.assertEqual([admin], status['CapPrm:'])

    def test_when_a_client_is_killed_then_the_next_one_cleans_up(self) -> None:
        client = self.start(
            """
            with mounts.mounted('target:share', section):
                print('ready', flush=True)
                sys.stdin.read()
            """
        )
        assert client.stdout is not None
        self.assertEqual('ready\n', client.stdout.readline())
        client.kill()
        client.communicate(timeout=60)
        self.assertEqual(1, len(self.mounted()))
        self.run_client(
            """
            with mounts.mounted('target:share', section):
                pass
            """
        )
        self.assertEqual([], self.mounted())

    def test_when_many_use_it_then_there_is_one_mount_and_none_is_left(
        self,
    ) -> None:
        clients = [
            self.start(
                """
                from backupkit.mounts import holding
                holding.LINGER_SECONDS = 0
                for number in range(8):
                    with mounts.mounted('target:share', section) as mount:
                        table = open('/proc/self/mounts').read()
                        assert table.count(f' {mount.path} ') == 1, table
                    mounts.release()
                """
            )
            for _number in range(4)
        ]
        for client in clients:
            client.communicate(timeout=300)
        self.assertEqual([0] * 4, [client.returncode for client in clients])
        self.assertEqual([], self.mounted())

    def test_when_the_configuration_is_not_roots_then_it_is_refused(
        self,
    ) -> None:
        for path, mode in (
            (self.top / 'backupkit.conf', 0o666),
            (self.top, 0o777),
        ):
            before = path.stat().st_mode
            path.chmod(mode)
            told = self.run_client(
                """
                try:
                    with mounts.mounted('target:share', section):
                        print('mounted')
                except errors.PrivilegeError as error:
                    print('refused')
                """
            )
            self.assertEqual('refused\n', told)
            path.chmod(before)
        self.assertEqual([], self.mounted())

    def test_when_the_mount_is_in_use_then_it_is_not_unmounted(self) -> None:
        self.run_client(
            """
            from backupkit.mounts import calls
            with mounts.mounted('target:share', section) as mount:
                assert calls.unmount('target:share') is False
            """
        )
        self.assertEqual([], self.mounted())

    def test_when_another_thing_is_mounted_there_then_it_is_left(self) -> None:
        path = self.run_client(
            """
            with mounts.mounted('target:share', section) as mount:
                print(mount.path)
            """
        ).strip()
        subprocess.run(['mount', '-t', 'tmpfs', 'other', path], check=True)
        told = self.run_client(
            """
            from backupkit.mounts import calls
            for call in (calls.unmount, lambda name: calls.mount(name, '')):
                try:
                    call('target:share')
                except errors.TargetMissing as error:
                    print('refused')
            """
        )
        self.assertEqual('refused\nrefused\n', told)
        self.assertEqual([path], self.mounted())

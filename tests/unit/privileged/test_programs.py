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

import ast
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import ClassVar

from backupkit import errors
from backupkit import privileged
from backupkit.privileged import programs
from tests.unit.privileged import stage

#: What mount(8) and mount.nfs(8) say, and which error that is.
WORDS: tuple[tuple[str, type[errors.BackupkitError]], ...] = (
    ('mount.nfs: Protocol not supported', errors.NotSupported),
    (
        'mount.nfs: requested NFS version or transport protocol is not '
        'supported for /mnt',
        errors.NotSupported,
    ),
    ('mount.nfs: Connection refused', errors.TargetUnavailable),
    ('mount.nfs: Connection timed out', errors.TargetUnavailable),
    ('mount.nfs: No route to host', errors.TargetUnavailable),
    ('mount.nfs: Network is unreachable', errors.TargetUnavailable),
    (
        'mount.nfs: Failed to resolve server s: Name or service not known',
        errors.TargetUnavailable,
    ),
    (
        'mount.nfs: Resource temporarily unavailable for s:/x',
        errors.TargetUnavailable,
    ),
    (
        'mount.nfs: an incorrect mount option was specified',
        errors.ConfigurationError,
    ),
    (
        'mount: bad option; for several filesystems you might need a helper',
        errors.ConfigurationError,
    ),
    ('mount.nfs: Operation not permitted', errors.PrivilegeError),
    (
        'mount.nfs: access denied by server while mounting s:/option',
        errors.TargetMissing,
    ),
    (
        'mount.nfs: mounting s:/x failed, reason given by server: No such '
        'file or directory',
        errors.TargetMissing,
    ),
    ('', errors.TargetMissing),
    (
        'Mounting glusterfs on /run/backupkit/mnt/0 failed.',
        errors.TargetUnavailable,
    ),
    (
        'Mount failed. Check the log file for more details.',
        errors.TargetUnavailable,
    ),
    ('Invalid option: x', errors.ConfigurationError),
    ('bad option cache: Invalid argument', errors.ConfigurationError),
    ('//server/share: Host is down', errors.TargetUnavailable),
    ('//server/share: Permission denied', errors.TargetMissing),
)


class MountTest(stage.StageTest):
    def mount(self, timeout: float = 10) -> None:
        programs.mount('s:/x', '/mnt', 'hard', timeout)

    def test_when_a_share_is_mounted_then_the_line_is_fixed(self) -> None:
        self.mount()
        self.assertEqual(
            ['MOUNT', '-t', 'nfs', '-o', 'hard', '--', 's:/x', '/mnt'],
            self.lines(),
        )

    def test_when_mounting_fails_then_the_words_say_who_must_act(self) -> None:
        for words, kind in WORDS:
            self.program('MOUNT', f'echo "{words}" >&2; exit 32')
            with self.subTest(words=words):
                with self.assertRaises(errors.BackupkitError) as caught:
                    self.mount()
                self.assertIs(kind, type(caught.exception))
                self.assertIn(words, str(caught.exception))

    def test_when_much_is_said_then_little_is_told(self) -> None:
        self.program('MOUNT', 'yes | head -c 1000000; exit 1')
        with self.assertRaises(errors.TargetMissing) as caught:
            self.mount()
        self.assertLess(len(str(caught.exception)), 600)

    def test_when_no_text_is_said_then_it_is_told_all_the_same(self) -> None:
        self.program('MOUNT', r"printf '\377\376\n'; exit 1")
        with self.assertRaisesRegex(errors.TargetMissing, 'cannot mount'):
            self.mount()

    def test_when_it_hangs_then_it_and_its_children_are_killed(self) -> None:
        pids = self.top / 'pids'
        self.program('MOUNT', f'sleep 600 & echo $! $$ > {pids}; wait')
        with self.assertRaisesRegex(errors.TargetUnavailable, 'more than 1 s'):
            self.mount(1)
        for pid in pids.read_text().split():
            self.assertTrue(self.is_gone(pid), pid)

    def is_gone(self, pid: str) -> bool:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                state = pathlib.Path(f'/proc/{pid}/stat').read_text()
            except (FileNotFoundError, ProcessLookupError):
                return True
            if state.rpartition(')')[2].split()[0] in 'ZX':
                return True
            os.sched_yield()
        return False

    def test_when_it_hangs_then_its_client_is_killed(self) -> None:
        # Of all processes only these are looked at.
        proc = self.top / 'proc'
        proc.mkdir()
        self.replace(programs, 'PROC', str(proc))
        self.program('MOUNT', 'sleep 600')
        client = self.start_client('/usr/sbin/glusterfs', '/mnt')
        others = [
            self.start_client('/usr/sbin/glusterfs', '/mnt/other'),
            self.start_client('/usr/sbin/other', '/mnt'),
        ]
        for process in (client, *others):
            (proc / str(process.pid)).symlink_to(f'/proc/{process.pid}')
        (proc / 'self').mkdir()
        # One that has ended since.
        (proc / '4194303').mkdir()
        with self.assertRaises(errors.TargetUnavailable):
            self.mount(1)
        self.assertEqual(-9, client.wait(60))
        self.assertEqual([None, None], [each.poll() for each in others])

    def start_client(self, *words: str) -> subprocess.Popen[bytes]:
        """Start what waits, and is called so."""
        name, path = words
        code = 'import sys; print(flush=True); sys.stdin.read()'
        process = subprocess.Popen(
            [name, '-c', code, path],
            executable=sys.executable,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.communicate)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def test_when_a_killed_program_stays_then_it_is_left(self) -> None:
        self.replace(programs, '_GRACE_SECONDS', 0)
        self.program('MOUNT', 'sleep 600')
        with self.assertRaises(errors.TargetUnavailable):
            self.mount(0.5)

    def test_when_it_leaves_a_child_behind_then_it_is_not_waited_for(
        self,
    ) -> None:
        pid = self.top / 'pid'
        self.program('MOUNT', f'sleep 600 & echo $! > {pid}')
        self.mount()
        os.kill(int(pid.read_text()), 9)

    def test_when_there_is_no_program_then_that_is_told(self) -> None:
        self.replace(programs, 'MOUNT', '/nonexistent/mount')
        with self.assertRaisesRegex(errors.PrivilegeError, 'cannot run'):
            self.mount()

    def test_when_it_runs_then_it_has_nothing_of_ours(self) -> None:
        told = self.top / 'told'
        self.program(
            'MOUNT',
            f'(env; umask; pwd; ls /proc/self/fd; cat) > {told}',
        )
        os.environ['BACKUPKIT_SECRET'] = 'x'
        self.addCleanup(os.environ.pop, 'BACKUPKIT_SECRET')
        fd = os.open('/', os.O_RDONLY)
        self.addCleanup(os.close, fd)
        os.dup2(fd, 90, inheritable=False)
        self.addCleanup(os.close, 90)
        self.mount()
        lines = told.read_text().splitlines()
        self.assertIn('LC_ALL=C', lines)
        self.assertIn('PATH=/usr/sbin:/usr/bin:/sbin:/bin', lines)
        self.assertNotIn('BACKUPKIT_SECRET=x', lines)
        self.assertIn('0022', lines)
        self.assertIn('/', lines)
        self.assertNotIn('90', lines)


class LogInTest(stage.StageTest):
    GIVEN: ClassVar[dict[str, str]] = {
        'username': 'backup',
        'password': 'pa,ss"',
    }

    def log_in_to(self) -> None:
        programs.log_in('//s/x', '/mnt', 'vers=3,nosuid', self.GIVEN, 10)

    def test_when_it_is_mounted_then_no_line_has_the_password(self) -> None:
        told = self.top / 'told'
        self.log_in(f'printf %s "$told" > {told}')
        self.log_in_to()
        self.assertEqual(['LOG_IN', '-I'], self.lines())
        self.assertEqual(
            {
                'source': '//s/x',
                'path': '/mnt',
                'options': 'vers=3,nosuid',
                **self.GIVEN,
            },
            json.loads(told.read_text()),
        )

    def test_when_it_fails_then_the_words_say_who_must_act(self) -> None:
        for words, kind in WORDS:
            self.log_in(f"echo '{words}' >&2; exit 32")
            with self.subTest(words=words):
                with self.assertRaises(errors.BackupkitError) as caught:
                    self.log_in_to()
                self.assertIs(kind, type(caught.exception))
                self.assertNotIn('pa,ss', str(caught.exception))


class UnmountTest(stage.StageTest):
    def test_when_it_is_unmounted_then_the_server_is_not_asked(self) -> None:
        self.assertTrue(programs.unmount('/mnt', 10))
        self.assertEqual(['UMOUNT', '-i', '-c', '--', '/mnt'], self.lines())

    def test_when_it_is_busy_then_it_is_left(self) -> None:
        self.program(
            'UMOUNT', 'echo "umount: /mnt: target is busy." >&2; exit 32'
        )
        self.assertFalse(programs.unmount('/mnt', 10))

    def test_when_it_fails_then_that_is_told(self) -> None:
        self.program('UMOUNT', 'echo "umount: /mnt: no." >&2; exit 32')
        with self.assertRaisesRegex(errors.PrivilegeError, r'/mnt: no\.'):
            programs.unmount('/mnt', 10)


class SourceTest(stage.StageTest):
    def test_when_the_code_is_read_then_no_shell_is_in_it(self) -> None:
        sources = list(pathlib.Path(privileged.__path__[0]).glob('*.py'))
        self.assertGreater(len(sources), 5)
        for source in sources:
            for node in ast.walk(ast.parse(source.read_text())):
                if isinstance(node, ast.keyword):
                    self.assertNotIn(node.arg, ('shell', 'executable'))
                if isinstance(node, ast.Attribute):
                    self.assertNotRegex(
                        node.attr, r'^(system|popen|exec\w*|spawn\w*|eval)$'
                    )
                if isinstance(node, ast.Name):
                    self.assertNotIn(node.id, ('eval', 'exec', 'compile'))

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

"""The command line, and the examples for administrators, as they are."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess

from tests.guest import inside
from tests.guest import root
from tests.nfs import command
from tests.nfs import rights

_MIB = 1024**2
#: What a unit with a /tmp of its own has: its mounts are nobody else's.
_SEPARATE = ('unshare', '--mount', '--propagation', 'slave')


class CommandTest(command.CommandCase):
    def test_when_backups_live_and_die_then_all_is_as_it_was(self) -> None:
        contents = [self.fill('db01', 1, 4 * _MIB)]
        self.ran('backup', 'create', 'local:db01')
        with (self.volumes / 'db01').open('r+b') as image:
            image.write(b'changed')
        contents.append(self.digest('db01'))
        self.ran('backup', 'create', 'local:db01')
        rows = self.asked('backup', 'list')
        self.assertEqual(
            ['full', 'incremental'], sorted(row['kind'] for row in rows)
        )
        restored = set()
        for row in rows:
            self.ran('backup', 'verify', '--full', row['id'])
            self.ran('backup', 'restore', row['id'], '--new', 'local:again')
            restored.add(self.digest('again'))
            self.ran('volume', 'delete', '--yes', 'local:again')
            self.ran('backup', 'delete', '--yes', row['id'])
        self.assertEqual(set(contents), restored)
        self.ran('repository', 'gc')
        self.assertEqual([], self.asked('backup', 'list'))
        self.ran('doctor')

    def test_when_the_unit_is_started_then_it_makes_a_backup(self) -> None:
        content = self.fill('db01', 1, _MIB)
        code, told = root.do(start_unit, 'backupkit-backup.service')
        self.assertEqual(0, code, told)
        with self.connect() as kit:
            (row,) = kit.list_backups()
            self.assertEqual(content, self.restored(kit, row.backup_id))

    def test_when_a_user_asks_sudo_for_more_then_it_is_refused(self) -> None:
        (line,) = (
            line
            for line in rights.example('sudoers').splitlines()
            if 'NOPASSWD' in line
        )
        words = shlex.split(line.partition('NOPASSWD: ')[2])
        socket = words[-1].replace('?', 'x')
        self.assertFalse(_may([*words[:-1], socket]).stderr)
        for wrong in (
            words[:1],
            [*words[:1], '-c', 'pass'],
            [*words[:-1], socket, '--debug'],
            [*words[:-1], f'{socket} --config-file /tmp/own.conf'],
            ['/bin/sh'],
        ):
            asked = _may(wrong)
            self.assertEqual((1, ''), (asked.returncode, asked.stdout), wrong)


def _may(line: list[str]) -> subprocess.CompletedProcess[str]:
    """Ask sudo whether it would run a command."""
    return subprocess.run(
        ['sudo', '-n', '-l', *line],
        check=False,
        capture_output=True,
        text=True,
    )


def start_unit(name: str) -> tuple[int, str]:
    """Start one of the example units as its manager would; root's to call.

    :return: its exit code, and what it has told
    """
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(rights.example(name))
    service = unit['Service']
    bounds = service['CapabilityBoundingSet'].lower().split()
    kept = ','.join(f'+{each.removeprefix("cap_")}' for each in bounds)
    assert service['NoNewPrivileges'] == 'no'
    assert service['PrivateTmp'] == 'yes'
    done = subprocess.run(
        [
            *(*_SEPARATE, 'setpriv', f'--bounding-set=-all,{kept}'),
            *('--reuid', str(inside.UID), '--regid', str(inside.UID)),
            *('--clear-groups', '--', *shlex.split(service['ExecStart'])),
        ],
        env={
            'PATH': os.defpath,
            **dict([service['Environment'].split('=', 1)]),
        },
        cwd='/',
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout

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

"""Images that lead elsewhere, watched by strace.

A canary stands for a file of the host that the owner of a volume must never
see. Each hostile image is there twice: as a raw volume, whose bytes it is,
and as one that is declared to be qcow2, which no program may open.
"""

from __future__ import annotations

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

from tests.functional import configuration

_SECTIONS = """\
[backend:local]
driver = file
volumes_dir = {root}/volumes
qcow2_volumes = *.qcow2
dirty_bitmaps = true
[target:repo]
driver = posix
backup_posix_path = {root}/repo
"""

#: Backs up and restores all volumes, and tells what became of each.
_SCRIPT = """\
import json, sys
from backupkit import api, errors
told = {}
with api.connect([sys.argv[1]]) as kit:
    for name in sys.argv[2:]:
        try:
            kit.show_volume(f'local:{name}')
            row = kit.create_backup(f'local:{name}')
            kit.restore_backup(row.backup_id, new=f'local:of-{name}.img')
            told[name] = ''
        except errors.SourceError as exc:
            told[name] = str(exc)
print(json.dumps(told))
"""

_CANARY = b'nobody but the host may read this' * 100


def tools(calls: str) -> list[str]:
    """Return the calls that started a program of QEMU."""
    return [
        line
        for line in calls.splitlines()
        if 'execve(' in line and 'qemu-' in line
    ]


class HostileImagesTest(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name).resolve()
        for name in ('volumes', 'repo', 'elsewhere'):
            (self.root / name).mkdir()
        self.volumes = self.root / 'volumes'
        self.canary = self.root / 'elsewhere' / 'canary'
        self.canary.write_bytes(_CANARY)
        self.configuration = self.root / 'backupkit.conf'
        self.configuration.write_text(
            configuration.beginning(self.root)
            + _SECTIONS.format(root=self.root)
        )

    def img(self, *arguments: str) -> None:
        subprocess.run(
            ['qemu-img', *arguments],
            cwd=self.volumes,
            check=True,
            capture_output=True,
        )

    def make_hostile(self) -> list[str]:
        """Make one image of each kind; return their names."""
        canary = str(self.canary)
        below = json.dumps(
            {'driver': 'raw', 'file': {'driver': 'file', 'filename': canary}}
        )
        for name, backing, kind in (
            ('backing', canary, 'raw'),
            ('json', f'json:{below}', 'raw'),
            ('nested', 'backing.img', 'qcow2'),
            ('protocol', 'nbd:unix:/nowhere', 'raw'),
        ):
            self.img(
                *('create', '-f', 'qcow2', '-u', '-b', backing),
                *('-F', kind, f'{name}.img', '64M'),
            )
        self.img(
            *(
                'create',
                '-f',
                'qcow2',
                '-o',
                'data_file=store,data_file_raw=on',
            ),
            *('datafile.img', '64M'),
        )
        (self.volumes / 'store').unlink()
        self.patch('datafile', b'store', b'/proc')
        self.img('create', '-f', 'qcow2', 'huge.img', '64M')
        self.patch_at('huge', 36, struct.pack('>I', 0x7FFFFFFF))
        self.img('create', '-f', 'qcow2', 'oversized.img', '64M')
        self.patch_at('oversized', 24, struct.pack('>Q', 1 << 62))
        self.img(
            *('create', '-f', 'vmdk', '-o', 'subformat=monolithicFlat'),
            *('v.vmdk', '1M'),
        )
        text = (self.volumes / 'v.vmdk').read_text()
        text = text.replace('v-flat.vmdk', canary)
        (self.volumes / 'vmdk.img').write_text(text)
        for name in ('v.vmdk', 'v-flat.vmdk'):
            (self.volumes / name).unlink()
        self.img(
            *('create', '-f', 'qed', '-u', '-b', canary, '-F', 'raw'),
            *('qed.img', '64M'),
        )
        return sorted(path.stem for path in self.volumes.iterdir())

    def patch(self, name: str, old: bytes, new: bytes) -> None:
        path = self.volumes / f'{name}.img'
        content = path.read_bytes()
        self.assertIn(old, content)
        path.write_bytes(content.replace(old, new))

    def patch_at(self, name: str, offset: int, new: bytes) -> None:
        with (self.volumes / f'{name}.img').open('r+b') as file:
            file.seek(offset)
            file.write(new)

    def run_all(self, names: list[str]) -> tuple[dict[str, str], str]:
        """Back up volumes; return what was told, and the system calls."""
        log = self.root / 'calls'
        done = subprocess.run(
            [
                *('strace', '-f', '-qq', '-y', '-o', str(log)),
                *('-e', 'trace=%file,openat2', '-s', '4096'),
                *(sys.executable, '-c', _SCRIPT),
                *(str(self.configuration), *names),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        told: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return told, log.read_text(errors='replace')

    def test_when_declared_then_refused_before_any_tool_runs(self) -> None:
        names = self.make_hostile()
        for name in names:
            (self.volumes / f'{name}.img').rename(
                self.volumes / f'{name}.qcow2'
            )
        told, calls = self.run_all([f'{name}.qcow2' for name in names])
        self.assertEqual(9, len(told))
        for name, problem in told.items():
            self.assertIn('is refused', problem, name)
        self.assertNotIn('canary', calls)
        self.assertEqual([], tools(calls))

    def test_when_raw_then_the_bytes_are_copied(self) -> None:
        names = [f'{name}.img' for name in self.make_hostile()]
        told, calls = self.run_all(names)
        self.assertEqual(dict.fromkeys(names, ''), told)
        for name in names:
            self.assertEqual(
                (self.volumes / name).read_bytes(),
                (self.volumes / f'of-{name}.img').read_bytes(),
                name,
            )
        self.assertNotIn('canary', calls)
        self.assertEqual([], tools(calls))

    def test_when_good_then_tools_open_only_its_own_files(self) -> None:
        self.img('create', '-f', 'qcow2', 'good.qcow2', '64M')
        told, calls = self.run_all(['good.qcow2'])
        self.assertEqual({'good.qcow2': ''}, told)
        self.assertTrue(tools(calls))
        self.assertNotIn('canary', calls)

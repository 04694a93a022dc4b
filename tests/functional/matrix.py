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

"""Every volume driver with a target: kept, and restored to all others.

A volume driver joins by a row in :data:`BACKENDS`, a target by a class
with the lines of its section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import hashlib
import os
import pathlib
import random
import subprocess
import tempfile
import threading
from typing import ClassVar
import unittest

from backupkit import api
from backupkit.drivers import volume as volume_
from backupkit import model
from backupkit import mounts
from backupkit.testing.memory import array
from backupkit.testing.volume import case
from tests.conformance import shares
from tests.functional import configuration

MIB = 1024**2
SIZE = 3 * MIB

Options = Mapping[str, str]
#: Makes a place for volumes below a directory, and returns its section.
Row = Callable[['MatrixCase', pathlib.Path], Options]


def _files(test: MatrixCase, root: pathlib.Path) -> Options:
    return {'driver': 'file', 'volumes_dir': str(root)}


def _images(test: MatrixCase, root: pathlib.Path) -> Options:
    return {
        'driver': 'file',
        'volumes_dir': str(root),
        'qcow2_volumes': '*',
        'dirty_bitmaps': 'true',
    }


def _share(test: MatrixCase, root: pathlib.Path) -> Options:
    return {'driver': 'nfs', 'backup_nfs_share': test.shares.add(root)}


def _memory(test: MatrixCase, root: pathlib.Path) -> Options:
    test.addCleanup(array.discard, str(root))
    return {'driver': 'memory', 'array': str(root)}


BACKENDS: Mapping[str, Row] = {
    'files': _files,
    'images': _images,
    'share': _share,
    'memory': _memory,
}


class Shares(shares.Share):
    """Stands for several shares at once, each a directory."""

    def __init__(self, test: unittest.TestCase) -> None:
        super().__init__(test, os.devnull)
        self._lock = threading.Lock()
        self._places: dict[str, pathlib.Path] = {}

    def add(self, root: pathlib.Path) -> str:
        """Let a directory be a share; return that one's name."""
        name = f'nas.example.org:/srv/{root.name}'
        self._places[name] = root
        return name

    def mount(self, source: str) -> mounts.Mount:
        """Describe what stands for a share."""
        with self._lock:
            self.directory = str(self._places[source])
            return super().mount(source)


class MatrixCase(unittest.TestCase):
    """Base class: a target, and all volume drivers before it.

    :cvar rows: the volume drivers
    :ivar root: of all that is made here
    """

    rows: ClassVar[Mapping[str, Row]] = BACKENDS

    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name).resolve()
        self.random = random.Random(self.id())
        self.shares = Shares(self)
        sections: dict[str, Options] = {
            f'backend:{name}': row(self, self.directory(name))
            for name, row in self.rows.items()
        }
        text = configuration.beginning(self.root, backends=','.join(self.rows))
        for name, options in {**sections, **self.target()}.items():
            text += f'[{name}]\n'
            text += ''.join(f'{k} = {v}\n' for k, v in options.items())
        path = self.root / 'backupkit.conf'
        path.write_text(text)
        self.kit = api.connect([str(path)])
        self.addCleanup(self.kit.close)

    def target(self) -> Mapping[str, Options]:
        """Return the section of the target, ``target:repo``, and more."""
        raise NotImplementedError('a row needs its target')

    def directory(self, name: str) -> pathlib.Path:
        """Make a directory below the root."""
        path = self.root / name
        path.mkdir()
        return path

    def go_round(self) -> None:
        """Let the volumes of each driver go through the target."""
        for backend in self.rows:
            with self.subTest(backend=backend):
                self.tour(backend)
        self.assertEqual([], self.kit.list_runs())

    def tour(self, backend: str) -> None:
        """Back up a volume three times, and restore each backup."""
        volume = f'{backend}:v'
        self.kit.create_volume(volume, SIZE)
        data = bytearray(SIZE)
        self.change(backend, data, 0, 2 * MIB + 513)
        first = self.kit.create_backup(volume)
        self.assertEqual(model.BackupKind.FULL, first.kind)
        self.assert_restores(backend, first.backup_id, data)
        self.change(backend, data, MIB, 70_000)
        second = self.kit.create_backup(volume)
        self.assertEqual(model.BackupKind.INCREMENTAL, second.kind)
        before = bytes(data)
        self.kit.delete_backup(first.backup_id)
        self.change(backend, data, 2 * MIB + 4096, 100_000)
        third = self.kit.create_backup(volume)
        self.assertEqual(model.BackupKind.INCREMENTAL, third.kind)
        self.assert_restores(backend, third.backup_id, data)
        self.assert_restores(backend, second.backup_id, before)
        for row in (second, third):
            report = self.kit.verify_backup(row.backup_id, full=True)
            self.assertEqual((), report.findings)

    def change(
        self, backend: str, data: bytearray, offset: int, length: int
    ) -> None:
        """Write random bytes into the volume, and remember them."""
        written = self.random.randbytes(length)
        data[offset : offset + length] = written
        driver = self.driver(backend)
        attachment = driver.attach_volume('v')
        try:
            case.write(attachment, offset, written)
        finally:
            driver.detach(attachment)

    def assert_restores(
        self, source: str, backup_id: str, data: bytes | bytearray
    ) -> None:
        """Restore a backup to each other backend, and compare."""
        expected = hashlib.sha256(data).hexdigest()
        for other in self.rows:
            if other == source:
                continue
            self.kit.restore_backup(backup_id, new=f'{other}:r')
            with self.attached(other, 'r') as attachment:
                self.assertEqual(SIZE, attachment.size_bytes)
                found = case.read(attachment)[:SIZE]
                self.assertEqual(
                    expected,
                    hashlib.sha256(found).hexdigest(),
                    f'{source} to {other}',
                )
                if attachment.format != 'raw':
                    self.assert_same_image(attachment, data)
            self.kit.delete_volume(f'{other}:r')

    def assert_same_image(
        self, attachment: model.Attachment, data: bytes | bytearray
    ) -> None:
        """Let QEMU itself compare an image with what it must hold."""
        expected = self.root / 'expected'
        expected.write_bytes(data)
        done = subprocess.run(
            [
                *('qemu-img', 'compare', '-U', '-f', 'raw'),
                *('-F', attachment.format, str(expected), attachment.path),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    @contextlib.contextmanager
    def attached(
        self, backend: str, volume_id: str
    ) -> Iterator[model.Attachment]:
        driver = self.driver(backend)
        attachment = driver.attach(volume_id, None)
        try:
            yield attachment
        finally:
            driver.detach(attachment)

    def driver(self, backend: str) -> volume_.VolumeDriver:
        """Return a driver, behind the API's back."""
        return self.kit._session.volume_driver(backend)

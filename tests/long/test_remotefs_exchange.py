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

"""Volumes that Cinder's driver and ours work on by turns.

Where Cinder is not installed beside us it is installed for these tests, in
an environment of its own. It is Cinder's own code that makes, reads and
merges the files, started by ``remotefs_agent.py``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from typing import Any, ClassVar
import uuid

from backupkit import errors
from backupkit_plugins.volumes.nfs import driver as nfs
from tests.functional import nfs_volumes

_SIZE = 1 << 30
_AGENT = pathlib.Path(__file__).with_name('remotefs_agent.py')
_STEPS = 16
#: Blocks that are written: at both ends, and about in the middle.
_PLACES = (0, 65536, 70000 // 512 * 512, 1 << 29, _SIZE - 65536)


class Cinder:
    """Cinder's driver, in a process of its own."""

    def __init__(
        self, python: str, directory: pathlib.Path, format_: str
    ) -> None:
        self._process = subprocess.Popen(
            [python, '-W', 'ignore', str(_AGENT), str(directory), format_],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=directory,
        )
        self._answer()

    def ask(self, *command: str) -> Any:
        """Have something done, and return what it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b'\n')
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError('Cinder has failed; see what it said')
        return json.loads(line)

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class ExchangeCase(nfs_volumes.Stand):
    """A share on which both work."""

    format: ClassVar[str] = 'raw'
    python: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.python = sys.executable
        if importlib.util.find_spec('cinder') is None:
            made = tempfile.TemporaryDirectory()
            cls.addClassCleanup(made.cleanup)
            cls.python = f'{made.name}/bin/python'
            for command in (
                [sys.executable, '-m', 'venv', made.name],
                [cls.python, '-m', 'pip', 'install', '-q', 'cinder'],
            ):
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def setUp(self) -> None:
        super().setUp()
        self.cinder = Cinder(self.python, self.directory, self.format)
        self.addCleanup(self.cinder.end)
        self.random = random.Random(self.format)
        self.volume_id = str(uuid.UUID(int=self.random.getrandbits(128)))
        #: What the volume ('') and each snapshot hold, by place.
        self.held: dict[str, dict[int, bytes]] = {'': {}}

    def ours(self) -> nfs.NfsVolumeDriver:
        return self.driver(nfs_qcow2_volumes=self.format == 'qcow2')

    def write(self) -> None:
        """Write somewhere, as a guest to which Cinder gave the volume."""
        place = self.random.choice(_PLACES)
        byte = self.random.randrange(1, 256)
        told = self.cinder.ask('connect', self.volume_id)
        nfs_volumes.tool(
            *('qemu-io', '-f', told['format']),
            *('-c', f'write -q -P {byte} {place} 4096'),
            str(self.directory / told['name']),
        )
        self.held[''] = {**self.held[''], place: bytes([byte]) * 4096}

    def take(self, *, by_cinder: bool) -> None:
        name = str(uuid.UUID(int=self.random.getrandbits(128)))
        if by_cinder:
            self.cinder.ask('take', self.volume_id, name)
        else:
            self.ours().snapshot(self.volume_id, name)
        self.held[name] = self.held['']

    def drop(self, name: str, *, by_cinder: bool) -> None:
        if by_cinder:
            self.cinder.ask('drop', self.volume_id, name)
        else:
            taken = nfs_volumes.snapshot(self.volume_id, name)
            self.ours().delete_snapshot(taken)
        del self.held[name]

    def look(self) -> None:
        """Assert that both see what there is to be seen."""
        driver = self.ours()
        names = [s.name for s in driver.snapshots(self.volume_id)]
        self.assertEqual([n for n in self.held if n], names)
        told = self.cinder.ask('connect', self.volume_id)
        active = driver.chain(self.volume_id)[0]
        self.assertEqual(
            (told['name'], told['format']), (active.name, active.format)
        )
        for name, held in self.held.items():
            taken = nfs_volumes.snapshot(self.volume_id, name)
            attachment = driver.attach(self.volume_id, taken if name else None)
            self.assert_holds(held, attachment.path, attachment.format)
            driver.detach(attachment)

    def look_by_cinder(self, name: str) -> None:
        """Have Cinder make a volume of a snapshot, and look at that."""
        new_id = str(uuid.uuid4())
        self.cinder.ask('copy', self.volume_id, name, new_id)
        path = str(self.directory / f'volume-{new_id}')
        self.assert_holds(self.held[name], path, self.format)
        self.cinder.ask('delete', new_id)

    def assert_holds(
        self, held: dict[int, bytes], path: str, format_: str
    ) -> None:
        with tempfile.NamedTemporaryFile() as model:
            os.truncate(model.name, _SIZE)
            for place in sorted(held):
                os.pwrite(model.fileno(), held[place], place)
            nfs_volumes.tool(
                *('qemu-img', 'compare', '-q', '-f', format_, '-F', 'raw'),
                *(path, model.name),
            )


class ExchangeTests(ExchangeCase):
    """What is proved, of each kind of volume."""

    def test_when_both_work_by_turns_then_each_reads_the_other(self) -> None:
        if self.random.random() < 0.5:
            self.cinder.ask('create', self.volume_id)
        else:
            self.ours().create(self.volume_id, _SIZE)
        for turn in range(_STEPS):
            names = [name for name in self.held if name]
            by_cinder = self.random.random() < 0.5
            self.write()
            if len(names) > 3 or (names and self.random.random() < 0.4):
                self.drop(self.random.choice(names), by_cinder=by_cinder)
            else:
                self.take(by_cinder=by_cinder)
            self.look()
            names = [name for name in self.held if name]
            if names and turn % 4 == 0:
                self.look_by_cinder(self.random.choice(names))
            self.assert_clean()
        for name in [name for name in self.held if name]:
            self.drop(name, by_cinder=name < '8')
            self.look()

    def test_when_cinder_made_it_then_we_delete_it(self) -> None:
        self.cinder.ask('create', self.volume_id)
        self.take(by_cinder=True)
        self.write()
        self.take(by_cinder=False)
        self.ours().delete(self.volume_id)
        self.assertEqual([], self.files())

    def test_when_we_made_it_then_cinder_deletes_it(self) -> None:
        self.ours().create(self.volume_id, _SIZE)
        self.take(by_cinder=False)
        self.write()
        self.drop(list(self.held)[-1], by_cinder=True)
        self.cinder.ask('delete', self.volume_id)
        with self.assertRaises(errors.VolumeNotFound):
            self.ours().show(self.volume_id)
        self.ours().create(self.volume_id, _SIZE)
        self.assertEqual([], list(self.ours().snapshots(self.volume_id)))


class RawExchangeTest(ExchangeTests):
    pass


class Qcow2ExchangeTest(ExchangeTests):
    format = 'qcow2'


del ExchangeTests

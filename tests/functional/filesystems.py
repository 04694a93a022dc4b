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


"""Real file systems and block devices, made on loop devices by root.

Needs root, losetup(8), mount(8), xfsprogs and btrfs-progs. A missing need
is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
import subprocess
import tempfile
from typing import ClassVar, TYPE_CHECKING
import unittest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Cleanup(Protocol):
        """Where to put what must be undone: a test case or its class."""

        def __call__(
            self, function: Callable[..., object], /, *args: object
        ) -> object: ...

    _Case = unittest.TestCase
else:
    # A mixin must not run by itself.
    _Case = object


_MAKE = {
    'xfs': ('mkfs.xfs', '-q', '-m', 'reflink=1'),
    'btrfs': ('mkfs.btrfs', '-q'),
    'ext4': ('mkfs.ext4', '-q'),
}


def run(command: Sequence[str], text: str | None = None) -> str:
    """Run a program, and return what it says.

    :raises AssertionError: it failed
    """
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f'{command} failed: {done.stderr}')
    return done.stdout


def scratch(cleanup: Cleanup) -> str:
    """Return a new directory that is removed afterwards."""
    holder = tempfile.TemporaryDirectory()
    cleanup(holder.cleanup)
    return holder.name


def mounted(cleanup: Cleanup, kind: str, size_bytes: int = 512 << 20) -> str:
    """Make a file system of a kind, mount it, and return where."""
    base = scratch(cleanup)
    image = os.path.join(base, 'image')
    place = os.path.join(base, kind)
    with open(image, 'wb') as file:
        file.truncate(size_bytes)
    os.mkdir(place)
    run([*_MAKE[kind], image])
    run(['mount', '-o', 'loop', image, place])
    cleanup(run, ['umount', place])
    return place


def loop_device(cleanup: Cleanup, size_bytes: int) -> tuple[str, str]:
    """Return the path of a loop device, and that of the file behind it."""
    image = os.path.join(scratch(cleanup), 'image')
    with open(image, 'wb') as file:
        file.truncate(size_bytes)
    path = run(['losetup', '--find', '--show', image]).strip()
    cleanup(run, ['losetup', '--detach', path])
    return path, image


class Mounted(_Case):
    """A mixin: a file system of its own, and a path for each test."""

    kind: ClassVar[str]
    place: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.place = mounted(cls.addClassCleanup, cls.kind)

    @property
    def directory(self) -> str:
        """A path there that nobody else uses."""
        return os.path.join(self.place, self.id())

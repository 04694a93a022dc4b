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

"""Small file systems of one's own, on loop devices and in memory."""

from __future__ import annotations

import pathlib
import subprocess
import unittest

_MIB = 1024**2

#: xfs refuses to be smaller.
XFS_BYTES = 320 * _MIB


def run(*argv: str) -> None:
    """Run a command that must work."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f'{" ".join(argv)}: {done.stderr}')


def mount_tmpfs(
    case: unittest.TestCase, place: pathlib.Path, size_bytes: int
) -> None:
    """Mount memory at a directory, until the test is over."""
    place.mkdir(exist_ok=True)
    run('mount', '-t', 'tmpfs', '-o', f'size={size_bytes}', 'none', str(place))
    case.addCleanup(run, 'umount', str(place))


def mount_loop(
    case: unittest.TestCase,
    place: pathlib.Path,
    kind: str,
    size_bytes: int,
) -> None:
    """Mount a new file system at a directory, until the test is over.

    :param kind: as ``mkfs.KIND`` knows it
    """
    place.mkdir(exist_ok=True)
    image = place.with_name(f'{place.name}.{kind}')
    with image.open('wb') as file:
        file.truncate(size_bytes)
    run(f'mkfs.{kind}', '-q', str(image))
    # The loop device goes with the mount.
    run('mount', '-o', 'loop', str(image), str(place))
    case.addCleanup(run, 'umount', str(place))

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

"""A file system of its own, in a file, for what others cannot do."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib
import shutil
import subprocess

from tests.bench import fault


@contextlib.contextmanager
def xfs(
    image: pathlib.Path, at: pathlib.Path, size_bytes: int
) -> Iterator[None]:
    """Make XFS in a file, mount it, and remove it at the end. Needs root.

    :param image: is made
    :param at: an empty directory
    """
    if shutil.which('mkfs.xfs', path=_search_path()) is None:
        raise fault.BenchError('mkfs.xfs is missing: install xfsprogs')
    image.touch()
    os.truncate(image, size_bytes)
    _call('mkfs.xfs', '-q', image)
    _call('mount', '-t', 'xfs', '-o', 'loop', image, at)
    try:
        yield
    finally:
        _call('umount', at)
        image.unlink()


def _call(*argv: str | pathlib.Path) -> None:
    done = subprocess.run(
        argv,
        env={**os.environ, 'PATH': _search_path()},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise fault.BenchError(f'{argv[0]} failed: {done.stderr.strip()}')


def _search_path() -> str:
    return f'{os.environ.get("PATH", os.defpath)}:/usr/sbin:/sbin'

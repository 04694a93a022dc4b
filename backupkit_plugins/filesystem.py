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


"""Which local file system a path lies on."""

from __future__ import annotations

import os
import pathlib


def identity(path: str) -> str:
    """Return a text that two paths share when one file system holds both.

    It holds on this host until the file system is unmounted. A device
    number from stat(2) would not do: btrfs has one for each subvolume.
    Source: proc_pid_fdinfo(5) and proc_pid_mountinfo(5).

    :raises OSError: the path cannot be opened
    """
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        mount_id = _mount_id(fd)
        device = os.fstat(fd).st_dev
    finally:
        os.close(fd)
    for line in _lines('/proc/self/mountinfo'):
        fields = line.split()
        if fields[0] == mount_id:
            return f'filesystem-{fields[2]}'
    return f'filesystem-{os.major(device)}:{os.minor(device)}'


def _mount_id(fd: int) -> str:
    for line in _lines(f'/proc/self/fdinfo/{fd}'):
        key, _, value = line.partition(':')
        if key == 'mnt_id':
            return value.strip()
    return ''


def _lines(path: str) -> list[str]:
    return pathlib.Path(path).read_text(errors='replace').splitlines()

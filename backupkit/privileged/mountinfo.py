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

"""What the kernel says is mounted; see proc_pid_mountinfo(5)."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

from backupkit import errors
from backupkit.privileged import grammar

MOUNTINFO = '/proc/self/mountinfo'


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One mount."""

    mount_id: int
    device: int
    root: str
    options: frozenset[str]
    filesystem: str
    source: str
    super_options: str

    @property
    def version(self) -> str:
        """The version of the protocol, or nothing."""
        found = re.search(r'(^|,)vers=([0-9.]+)', self.super_options)
        return found[2] if found else ''


def at(path: str) -> Entry | None:
    """Return what is mounted at a path, the uppermost of several.

    Only the kernel's table is read, so that a dead server does no harm.

    :param path: without any character that the table escapes
    """
    found = None
    for line in pathlib.Path(MOUNTINFO).read_bytes().splitlines():
        fields = line.decode(errors='replace').split(' ')
        if fields[4] == path:
            found = _entry(fields)
    return found


def _entry(fields: list[str]) -> Entry:
    # The number of optional fields before the dash varies.
    kind, source, super_options = fields[fields.index('-') + 1 :][:3]
    major, minor = fields[2].split(':')
    return Entry(
        int(fields[0]),
        os.makedev(int(major), int(minor)),
        fields[3],
        frozenset(fields[5].split(',')),
        kind,
        source,
        super_options,
    )


def prove(
    entry: Entry, share: str, path: str, filesystems: frozenset[str]
) -> None:
    """Refuse a mount that is not the one that was asked for.

    :param filesystems: what the kernel may call its type
    :raises errors.TargetMissing: it is another one
    """
    wrong = ''
    if entry.source != share or entry.root != '/':
        wrong = f'{entry.source} ({entry.root})'
    elif entry.filesystem not in filesystems:
        wrong = f'a file system {entry.filesystem}'
    elif not entry.options.issuperset(grammar.ALWAYS):
        wrong = f'the share without {", ".join(grammar.ALWAYS)}'
    if wrong:
        raise errors.TargetMissing(
            f'{wrong} is mounted at {path}, where {share} belongs'
        )

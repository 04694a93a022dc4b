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

import dataclasses
import os
import pathlib
import unittest

from backupkit import errors
from backupkit.privileged import kinds
from backupkit.privileged import mountinfo
from tests.unit.privileged import stage

TABLE = """\
22 1 0:20 / /proc rw,relatime shared:12 - proc proc rw
36 25 0:99 / /mnt/a rw,nosuid,nodev,noexec shared:1 - nfs4 s:/a rw,vers=4.2,x
37 25 8:1 / /mnt/b rw - ext4 /dev/sda1 rw
38 25 0:98 / /mnt/b rw,nosuid,nodev,noexec - nfs s:/b rw,nfsvers=3,xvers=9
39 25 0:97 /sub /mnt/with\\040space rw - nfs4 s:/c rw
40 25 0:96 / /mnt/\udcff rw - nfs4 s:/c rw
"""


class TableTest(stage.StageTest):
    def setUp(self) -> None:
        super().setUp()
        self.table.write_bytes(TABLE.encode(errors='surrogateescape'))

    def test_when_something_is_mounted_then_it_is_told(self) -> None:
        self.assertEqual(
            mountinfo.Entry(
                36,
                os.makedev(0, 99),
                '/',
                frozenset({'rw', 'nosuid', 'nodev', 'noexec'}),
                'nfs4',
                's:/a',
                'rw,vers=4.2,x',
            ),
            mountinfo.at('/mnt/a'),
        )

    def test_when_mounts_are_stacked_then_the_upper_one_is_told(self) -> None:
        entry = mountinfo.at('/mnt/b')
        assert entry is not None
        self.assertEqual('s:/b', entry.source)

    def test_when_nothing_is_mounted_then_there_is_no_entry(self) -> None:
        for path in ('/mnt', '/mnt/a/', '/mnt/c', '', 's:/a'):
            self.assertIsNone(mountinfo.at(path))

    def test_when_a_version_is_told_then_it_is_found(self) -> None:
        a, b = mountinfo.at('/mnt/a'), mountinfo.at('/mnt/b')
        assert a is not None and b is not None
        self.assertEqual('4.2', a.version)
        self.assertEqual('', b.version)


class KernelTest(unittest.TestCase):
    def test_when_the_kernel_is_asked_then_proc_is_found(self) -> None:
        entry = mountinfo.at('/proc')
        assert entry is not None
        self.assertEqual('proc', entry.filesystem)
        self.assertEqual(pathlib.Path('/proc').stat().st_dev, entry.device)


class ProofTest(unittest.TestCase):
    ENTRY = mountinfo.Entry(
        1,
        2,
        '/',
        frozenset({'nosuid', 'nodev', 'noexec', 'rw'}),
        'nfs4',
        's:/a',
        'rw',
    )

    def test_when_it_is_the_share_then_it_is_accepted(self) -> None:
        self.prove(self.ENTRY)
        self.prove(dataclasses.replace(self.ENTRY, filesystem='nfs'))

    def prove(
        self, entry: mountinfo.Entry, kind: kinds.Kind = kinds.NFS
    ) -> None:
        mountinfo.prove(entry, 's:/a', '/mnt', kind.filesystems)

    def test_when_it_is_of_another_kind_then_it_is_refused(self) -> None:
        for kind, name in (
            (kinds.NFS, 'nfs4'),
            (kinds.GLUSTERFS, 'fuse.glusterfs'),
            (kinds.SMB, 'cifs'),
        ):
            self.prove(dataclasses.replace(self.ENTRY, filesystem=name), kind)
            for other in ('fuse', 'fuse.x', 'smb3', 'ext4', 'nfs3', name[1:]):
                entry = dataclasses.replace(self.ENTRY, filesystem=other)
                with self.assertRaises(errors.TargetMissing):
                    self.prove(entry, kind)

    def test_when_anything_differs_then_it_is_refused(self) -> None:
        always = self.ENTRY.options
        others = (
            dataclasses.replace(self.ENTRY, source='s:/b'),
            dataclasses.replace(self.ENTRY, root='/sub'),
            dataclasses.replace(self.ENTRY, filesystem='tmpfs'),
            dataclasses.replace(self.ENTRY, filesystem='nfs4x'),
            *(
                dataclasses.replace(self.ENTRY, options=always - {flag})
                for flag in ('nosuid', 'nodev', 'noexec')
            ),
        )
        for entry in others:
            with (
                self.subTest(entry=entry),
                self.assertRaises(errors.TargetMissing),
            ):
                self.prove(entry)

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

import os
from unittest import mock

from oslo_config import cfg

from backupkit import errors
from backupkit.privileged import shares
from tests.unit.privileged import hostile
from tests.unit.privileged import stage

MORE = """\
[DEFAULT]
state_path = /var/lib/backupkit
[backend:images]
backup_share = 192.0.2.1:/images
backup_mount_options = ro
backup_mount_point_base = /run/other
mount_timeout_seconds = 7
[target:local]
driver = posix
[target:bare]
[privsep_mounts]
group = backup
"""


class FindTest(stage.StageTest):
    def test_when_a_section_has_a_share_then_it_is_found(self) -> None:
        self.configure(stage.CONFIGURATION + MORE)
        share = shares.find('target:share')
        self.assertEqual(
            shares.Share(stage.SHARE, 'hard,timeo=100', stage.BASE, 60), share
        )
        self.assertEqual(stage.PLACE, share.path)

    def test_when_old_names_are_used_then_they_are_understood(self) -> None:
        self.configure(stage.CONFIGURATION + MORE)
        self.assertEqual(
            shares.Share('192.0.2.1:/images', 'ro', '/run/other', 7),
            shares.find('backend:images'),
        )

    def test_when_a_name_is_hostile_then_it_is_refused(self) -> None:
        self.configure(stage.CONFIGURATION + MORE)
        for name in hostile.NAMES:
            with self.subTest(name=repr(name)[:80]):
                with self.assertRaises(errors.PrivilegeError) as caught:
                    shares.find(name)
                self.assertLess(len(str(caught.exception)), 200)

    def test_when_a_share_is_hostile_then_it_is_refused(self) -> None:
        for share in hostile.SHARES:
            if '\0' in share or not share.isprintable() or not share.strip():
                # Such a line would not reach the grammar as it is.
                continue
            text = share.replace('$', '$$')
            self.configure(f'[target:share]\nbackup_nfs_share = "{text}"\n')
            with (
                self.subTest(share=share[:80]),
                self.assertRaises(errors.ConfigurationError),
            ):
                shares.find('target:share')

    def test_when_options_are_hostile_then_they_are_refused(self) -> None:
        for options in hostile.OPTIONS:
            if '\0' in options or not options.isprintable():
                continue
            text = options.replace('$', '$$')
            self.configure(
                f'[target:share]\nbackup_nfs_share = {stage.SHARE}\n'
                f'backup_nfs_mount_options = "{text}"\n'
            )
            with (
                self.subTest(options=options[:80]),
                self.assertRaises(errors.ConfigurationError),
            ):
                shares.find('target:share')

    def test_when_one_share_has_two_options_then_it_is_refused(self) -> None:
        self.configure(
            stage.CONFIGURATION
            + f'[backend:too]\nbackup_nfs_share = {stage.SHARE}\n'
            + f'[target:like]\nbackup_nfs_share = {stage.SHARE}\n'
        )
        for name in ('target:share', 'backend:too', 'target:like'):
            with self.assertRaisesRegex(
                errors.ConfigurationError, 'different mount options'
            ):
                shares.find(name)

    def test_when_one_share_has_the_same_options_then_it_is_found(
        self,
    ) -> None:
        self.configure(
            stage.CONFIGURATION
            + stage.CONFIGURATION.replace('target:share', 'backend:too')
        )
        self.assertEqual(
            shares.find('target:share'), shares.find('backend:too')
        )

    def test_when_an_option_has_no_value_of_its_type_then_it_is_told(
        self,
    ) -> None:
        for line in ('mount_timeout_seconds = 0', 'mount_timeout_seconds = x'):
            self.configure(f'{stage.CONFIGURATION}{line}\n')
            with self.assertRaisesRegex(
                errors.ConfigurationError, r'\[target:share\]'
            ):
                shares.find('target:share')


class FileTest(stage.StageTest):
    def test_when_others_may_write_to_it_then_it_is_refused(self) -> None:
        (self.top / 'etc/backupkit.conf').chmod(0o660)
        with self.assertRaisesRegex(errors.PrivilegeError, 'must belong'):
            shares.find('target:share')

    def test_when_others_may_write_above_it_then_it_is_refused(self) -> None:
        (self.top / 'etc').chmod(0o777)
        with self.assertRaisesRegex(errors.PrivilegeError, 'must belong'):
            shares.find('target:share')

    def test_when_one_of_several_is_not_ours_then_all_are_refused(
        self,
    ) -> None:
        self.configure(stage.CONFIGURATION, 'one.conf', 'two.conf')
        shares.find('target:share')
        (self.top / 'etc/two.conf').chmod(0o606)
        with self.assertRaisesRegex(errors.PrivilegeError, 'must belong'):
            shares.find('target:share')

    def test_when_it_cannot_be_parsed_then_that_is_told(self) -> None:
        self.configure('target:share\n')
        with self.assertRaisesRegex(
            errors.ConfigurationError, "helper's configuration"
        ):
            shares.find('target:share')

    def test_when_there_is_none_then_there_is_no_share(self) -> None:
        for conf in (cfg.ConfigOpts(), mock.Mock(config_file=None)):
            self.replace(cfg, 'CONF', conf)
            with self.assertRaisesRegex(errors.PrivilegeError, 'no section'):
                shares.find('target:share')

    def test_when_the_environment_says_else_then_it_is_not_heard(
        self,
    ) -> None:
        name = 'OS_TARGET:SHARE__BACKUP_NFS_SHARE'
        with mock.patch.dict(os.environ, {name: 'evil:/export'}):
            self.assertEqual(stage.SHARE, shares.find('target:share').source)

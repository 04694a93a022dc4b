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
import pathlib
import shutil
import sys
import tempfile
import unittest
from unittest import mock

from backupkit import conf as conf_
from backupkit.doctor import diagnosis
from backupkit.doctor import privilege
from backupkit import mounts
from backupkit.mounts import command


class PrivilegeTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top)

    def states(self, *places: str) -> list[tuple[str, str]]:
        return [
            (found.state, found.name)
            for found in privilege.import_path(list(places))
        ]

    def test_when_code_can_be_written_then_it_is_told(self) -> None:
        place = self.top / 'lib'
        (place / 'package').mkdir(parents=True)
        (place / 'package/module.py').write_text('')
        (place / 'link').symlink_to('/nonexistent')
        self.assertEqual(
            [(diagnosis.PROBLEM, str(place))], self.states(str(place))
        )
        for wrong in (place.parent, place, place / 'package/module.py'):
            # As if all else were somebody else's, and closed.
            with (
                mock.patch.object(
                    os,
                    'access',
                    lambda path, _mode, one=str(wrong): path == one,
                ),
                mock.patch.object(
                    os, 'geteuid', return_value=-1, autospec=True
                ),
            ):
                (found,) = privilege.import_path([str(place)])
            self.assertEqual(diagnosis.PROBLEM, found.state)
            self.assertIn(str(wrong), found.message)

    def test_when_no_code_can_be_written_then_that_is_told(self) -> None:
        place = self.top / 'lib'
        place.mkdir()
        with (
            mock.patch.object(os, 'access', return_value=False, autospec=True),
            mock.patch.object(os, 'geteuid', return_value=-1, autospec=True),
        ):
            self.assertEqual(
                [(diagnosis.OK, 'import path')],
                self.states(str(place), '', 'relative', '/nonexistent'),
            )

    def subject(self, text: str) -> mock.Mock:
        path = self.top / 'backupkit.conf'
        path.write_text(text)
        conf = conf_.load([str(path)])
        for section in conf.list_all_sections():
            conf.register_opts(mounts.get_options(), group=section)
        return mock.Mock(conf=conf)

    def test_when_there_is_no_share_then_nothing_is_told(self) -> None:
        text = '[DEFAULT]\nenabled_targets = a, b\n[target:a]\n'
        with mock.patch.object(
            os, 'geteuid', return_value=1000, autospec=True
        ):
            self.assertEqual([], list(privilege.helper(self.subject(text))))

    def test_when_there_is_a_share_then_all_is_looked_at(self) -> None:
        text = (
            '[DEFAULT]\nenabled_targets = a\n'
            '[target:a]\nbackup_nfs_share = server:/export\n'
            '[privsep_mounts]\nhelper_command = '
            f'sudo serve --config-file {self.top}/backupkit.conf\n'
        )
        subject = self.subject(text)
        patch = mock.patch.object(command, '_configuration', subject.conf)
        patch.start()
        self.addCleanup(patch.stop)
        with (
            mock.patch.object(os, 'geteuid', return_value=1000, autospec=True),
            mock.patch.object(
                privilege,
                '_places',
                return_value=[str(self.top)],
                autospec=True,
            ),
        ):
            found = list(privilege.helper(subject))
        # The directory of a test is below /tmp, which others write to.
        self.assertEqual(
            [
                (diagnosis.OK, 'command line'),
                (diagnosis.PROBLEM, str(self.top)),
                (diagnosis.PROBLEM, f'{self.top}/backupkit.conf'),
            ],
            [(one.state, one.name) for one in found],
        )
        with mock.patch.object(os, 'geteuid', return_value=0, autospec=True):
            self.assertEqual([], list(privilege.helper(subject)))

    def test_when_places_are_listed_then_the_users_own_are_not(self) -> None:
        with (
            mock.patch.dict(os.environ, {'PYTHONPATH': '/mine:/too'}),
            mock.patch.object(sys, 'path', ['/mine', '/lib', '/too']),
        ):
            places = privilege._places()
        self.assertIn('/lib', places)
        self.assertIn(os.path.dirname(sys.executable), places)
        self.assertFalse({'/mine', '/too'}.intersection(places))

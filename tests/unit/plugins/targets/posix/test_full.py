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


"""A file system that is really full: a small one in memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest

_MOUNT = 'mount -t tmpfs -o size=1m,mode=0770 tmpfs "$1" && shift && exec "$@"'


class FullTest(unittest.TestCase):
    """Runs :func:`main` of the module beside this one.

    It needs a mount of its own, and so a user namespace: unshare(1).
    """

    def test_when_file_system_is_full_then_nothing_is_lost(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            command = ['unshare', '-Urm', 'sh', '-euc', _MOUNT, 'sh', place]
            scenario = 'tests.unit.plugins.targets.posix.full_scenario'
            command += [sys.executable, '-m', scenario, place]
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
            )
            self.assertEqual('all is well\n', done.stdout, done.stderr)
            self.assertEqual(0, done.returncode)
            self.assertEqual([], os.listdir(place))

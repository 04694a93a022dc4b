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

"""Calls in processes of their own, which die in their middle."""

from __future__ import annotations

from collections.abc import Callable
import os
from typing import Any

from backupkit import api
from backupkit.flows.tasks import step
from tests.unit.flows import base
from tests.unit.flows import doubles

#: How a process ends that dies as it should.
KILLED = 9


class DyingTestCase(base.KitTestCase):
    """A test whose volumes and objects are files, and survive processes."""

    def connect(self) -> api.Backupkit:
        """Return a kit whose drivers keep files."""
        kit = super().connect()
        session = kit._session
        driver = doubles.FilesDriver('local', self.directory)
        session._volume_drivers['local'] = driver
        target = doubles.FilesTarget('repo', session.target('repo').section)
        target.root = self.directory / 'objects'
        session._targets['repo'] = target
        self.files = driver
        self.objects = target
        return kit

    def setUp(self) -> None:
        super().setUp()
        self.kit.create_volume('local:v', base.MIB)
        self.fill(b'one')
        self.good = self.kit.create_backup('local:v')
        self.good_packs = sorted(self.objects.packs())
        self.fill(b'two')

    def fill(self, data: bytes) -> None:
        path = self.files.volumes / 'v'
        with path.open('r+b') as file:
            file.write(data * 100_000)

    def dies(
        self, call: Callable[[], Any], prepare: Callable[[], None]
    ) -> None:
        """Do a call in a process of its own, which must not survive it."""
        child = os.fork()
        if not child:
            try:
                prepare()
                call()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        self.assertEqual(KILLED, os.waitstatus_to_exitcode(status))

    def dies_at(
        self, name: str, call: Callable[[], Any], *, after: bool
    ) -> None:
        """Do a call in a process that dies before or after a step."""
        method = 'post_execute' if after else 'pre_execute'

        def die(task: step.Step) -> None:
            if task.name == name:
                os._exit(KILLED)

        self.dies(call, lambda: setattr(step.Step, method, die))

    def assert_cleared(self) -> None:
        self.assertEqual([], self.files.left())
        self.assertEqual([], self.temporary())
        self.assertEqual([], self.kit.list_runs())
        self.assertEqual([], self.locks())
        self.assertEqual(0, self.rows_of_flows())

    def back_up(self) -> None:
        self.connect().create_backup('local:v')

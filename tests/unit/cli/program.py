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

"""Runs command lines against an API that only looks like one."""

import contextlib
import dataclasses
import io
import logging
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

from oslo_config import cfg

from backupkit import api
from backupkit.cli import app
from backupkit.cli import main


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command line left."""

    code: int
    stdout: str
    stderr: str


class Terminal(io.StringIO):
    """A stream at a terminal."""

    def isatty(self) -> bool:
        return True


class ProgramTest(unittest.TestCase):
    """Base class: ``self.kit`` is what the commands call."""

    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.directory = pathlib.Path(made.name)
        self.config = self.directory / 'test.conf'
        self.config.write_text('')
        self.conf = cfg.ConfigOpts()
        self.kit = mock.create_autospec(api.Backupkit, instance=True)
        self.kit.__enter__.return_value = self.kit
        shell = app.App
        for target, name, new in (
            (api, 'Backupkit', mock.Mock(return_value=self.kit)),
            (app, 'App', lambda: shell(self.conf)),
        ):
            patched = mock.patch.object(target, name, new)
            patched.start()
            self.addCleanup(patched.stop)
        self._keep_logging()

    def _keep_logging(self) -> None:
        root, taskflow = logging.getLogger(), logging.getLogger('taskflow')
        self.addCleanup(root.setLevel, root.level)
        self.addCleanup(taskflow.setLevel, taskflow.level)
        self.addCleanup(self._reset_handlers, list(root.handlers))
        self.addCleanup(setattr, sys, 'excepthook', sys.excepthook)

    def _reset_handlers(self, before: list[logging.Handler]) -> None:
        root = logging.getLogger()
        for handler in root.handlers:
            if handler not in before:
                handler.close()
        root.handlers[:] = before

    def call(
        self,
        *argv: str,
        stdin: io.StringIO | None = None,
        stderr: io.StringIO | None = None,
    ) -> Outcome:
        """Run a command line with the test's own configuration."""
        stdout, stderr = io.StringIO(), stderr or io.StringIO()
        with (
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
            mock.patch('sys.stdin', stdin or io.StringIO()),
        ):
            try:
                code = main.main(['--config-file', str(self.config), *argv])
            except SystemExit as leaving:
                code = int(leaving.code or 0)
        return Outcome(code, stdout.getvalue(), stderr.getvalue())

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

"""Monitors that do not do as they should."""

from __future__ import annotations

import socket
import threading

from backupkit import errors
from backupkit_plugins.volumes.nfs import qmp
from tests.unit.plugins.volumes.nfs import case

_HELLO = b'{"QMP": {"version": {}, "capabilities": []}}\r\n'
_DONE = b'{"return": {}}\r\n'


class MonitorTest(case.NfsCase):
    def serve(self, *answers: bytes) -> str:
        """Be a monitor that answers each line with the next of these."""
        path = str(self.directory / 'qmp')
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile('rb') as lines:
                for text in answers:
                    connection.sendall(text)
                    if not lines.readline():
                        break

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        self.addCleanup(listener.close)
        self.addCleanup(thread.join)
        return path

    def ask(self, *answers: bytes) -> object:
        with qmp.Monitor(self.serve(_HELLO, _DONE, *answers)) as monitor:
            return monitor.run('query-jobs')

    def test_when_events_come_then_the_answer_is_waited_for(self) -> None:
        event = b'{"event": "RESUME", "data": {}}\r\n'
        self.assertEqual([1], self.ask(event + b'{"return": [1]}\r\n'))

    def test_when_it_says_no_then_its_words_are_told(self) -> None:
        said = b'{"error": {"class": "GenericError", "desc": "not now"}}\n'
        with self.assertRaisesRegex(qmp.Refused, 'query-jobs: not now'):
            self.ask(said)

    def test_when_it_says_nonsense_then_it_is_an_error(self) -> None:
        for said in (b'{\n', b'[]\n', b'\xff\n'):
            with (
                self.subTest(said=said),
                self.assertRaises(errors.SourceError),
            ):
                self.ask(said)
            (self.directory / 'qmp').unlink()

    def test_when_it_goes_away_then_it_is_an_error(self) -> None:
        with self.assertRaisesRegex(errors.SourceError, 'does not answer'):
            self.ask()

    def test_when_nobody_is_there_then_volume_is_not_in_use(self) -> None:
        driver = self.driver(qmp_sockets=f'{self.directory}/*.sock')
        (self.directory / 'old.sock').touch()
        driver.create('v', case.SIZE)
        driver.snapshot('v', 'one')
        self.assertEqual(2, len(driver.chain('v')))

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

"""A client of QEMU's monitor protocol, QMP.

Source: docs/interop/qmp-spec.rst and qapi/block-core.json of QEMU.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import socket
import types
from typing import Any

from backupkit import errors

#: An answer of a process with a thousand images is far below it.
_MAX_ANSWER = 16 << 20
_PIECE = 1 << 16
#: A monitor that talks to somebody else does not even say hello.
_HELLO_SECONDS = 5


class Refused(errors.SourceError):
    """A QEMU has said no to a command, in its own words."""


class Monitor:
    """A connection to the monitor of one QEMU process.

    :param path: of its Unix socket
    :param timeout_seconds: for each of its answers
    :raises errors.SourceError: nobody answers there
    """

    def __init__(self, path: str, timeout_seconds: float = 60) -> None:
        self.path = path
        self._rest = b''
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(_HELLO_SECONDS)
            self._socket.connect(path)
            self._answer()
            self._socket.settimeout(timeout_seconds)
            self.run('qmp_capabilities')
        except OSError as exc:
            self._socket.close()
            raise self._lost(exc) from exc
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self._socket.close()

    def run(
        self, command: str, arguments: Mapping[str, Any] | None = None
    ) -> Any:
        """Return what the process answers to a command.

        :raises Refused: an error
        :raises errors.SourceError: nothing any more
        """
        asked = {'execute': command, 'arguments': dict(arguments or {})}
        try:
            self._socket.sendall(json.dumps(asked).encode() + b'\n')
            while True:
                told = self._answer()
                if 'return' in told:
                    return told['return']
                if 'error' in told:
                    raise Refused(
                        f'the QEMU at {self.path} refuses {command}: '
                        f'{told["error"].get("desc")}'
                    )
        except OSError as exc:
            raise self._lost(exc) from exc

    def _answer(self) -> dict[str, Any]:
        """Return the next thing that is told: events are such, too."""
        while b'\n' not in self._rest:
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise ConnectionResetError('the connection was closed')
            self._rest += piece
            if len(self._rest) > _MAX_ANSWER:
                raise ConnectionError('the answer has no end')
        line, _, self._rest = self._rest.partition(b'\n')
        try:
            told = json.loads(line)
        except ValueError as exc:
            raise ConnectionError('the answer is not JSON') from exc
        if not isinstance(told, dict):
            raise ConnectionError('the answer is not an object')
        return told

    def _lost(self, exc: OSError) -> errors.SourceError:
        return errors.SourceError(
            f'the monitor at {self.path} does not answer: '
            f'{exc.strerror or exc}'
        )

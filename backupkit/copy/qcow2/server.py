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

"""A server of QEMU for one chain of images, for us alone.

``qemu-nbd`` inherits the checked files, and the socket that it listens on,
which lies in a directory that only we may enter. It ends with its last
connection: with us, whatever becomes of us.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
import threading

from backupkit.copy import direct
from backupkit.copy.nbd import client
from backupkit.copy.qcow2 import chain as chain_
from backupkit.copy import qemu
from backupkit import errors
from backupkit import model

#: Descriptors that are handed on get numbers from here.
_FIRST_FD = 64
_CONNECTIONS = 64
_END_SECONDS = 300
_COMPLAINT_BYTES = 4096

#: The C library is to keep the memory of requests instead of asking the
#: kernel for fresh pages each time: that halves the time that a server needs
#: (mallopt(3)).
_ENVIRONMENT = {
    'MALLOC_MMAP_THRESHOLD_': str(64 << 20),
    'MALLOC_TRIM_THRESHOLD_': str(512 << 20),
    'MALLOC_TOP_PAD_': str(32 << 20),
}

#: Tells what systemd's protocol of socket activation asks for, gives the
#: socket its place, and becomes the tool.
_SHELL = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 </dev/null'


class Server:
    """A running ``qemu-nbd``.

    :param path: of the image
    :param links: its chain; empty where the image stands alone
    :param options: further ones of the tool
    :raises errors.SourceError: the chain is not as recorded, or QEMU cannot
        open it
    """

    def __init__(
        self,
        path: str,
        links: Sequence[model.Link] = (),
        *,
        writable: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        self.path = path
        self._connections: list[client.Connection] = []
        self._lock = threading.Lock()
        with contextlib.ExitStack() as made:
            directory = tempfile.mkdtemp(prefix='backupkit-')
            made.callback(shutil.rmtree, directory, ignore_errors=True)
            self._address = os.path.join(directory, 's')
            # Nobody would empty a pipe while the server is at work.
            self._complaints = made.enter_context(tempfile.TemporaryFile())
            self.links = links or (
                model.Link(os.path.basename(path), 'qcow2'),
            )
            self.files = _open(made, path, self.links, writable=writable)
            self._process = _start(
                chain_.options(self.files, self.links),
                self.files,
                self._address,
                options if writable else [*options, '--read-only'],
                self._complaints.fileno(),
            )
            made.callback(self._stop)
            # The server stays for as long as it has one connection.
            self.size_bytes = self.connect().size_bytes
            self._made = made.pop_all()

    def connect(self, contexts: Sequence[str] = ()) -> client.Connection:
        """Return another connection; it is closed with the server.

        :raises errors.SourceError: the server could not open the image, or
            does not know one of the contexts
        """
        try:
            made = client.Connection(self._address, contexts)
        except client.Failure as exc:
            raise self.failed('open', exc) from exc
        with self._lock:
            self._connections.append(made)
        return made

    def failed(self, what: str, exc: client.Failure) -> errors.SourceError:
        """Return the error that tells what went wrong, in QEMU's words."""
        try:
            # A server that broke off is about to end.
            code = self._process.wait(timeout=1)
        except qemu.TimeoutExpired:
            return errors.SourceError(f'cannot {what} {self.path}: {exc}')
        said = qemu.failed('qemu-nbd', code, self._complaint())
        return errors.SourceError(f'cannot {what} {self.path}: {said}')

    def finish(self) -> None:
        """End the server, and wait until it has written everything.

        :raises errors.SourceError: it could not
        """
        self._disconnect()
        try:
            code = self._process.wait(timeout=_END_SECONDS)
        except qemu.TimeoutExpired as exc:
            raise errors.SourceError(
                f'qemu-nbd still writes {self.path} after {_END_SECONDS} s'
            ) from exc
        if code:
            raise qemu.failed('qemu-nbd', code, self._complaint())

    def close(self) -> None:
        """End the server, at once; twice is fine."""
        self._made.close()

    def _disconnect(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()

    def _complaint(self) -> bytes:
        """Return the end of what the process complained of."""
        told = os.fstat(self._complaints.fileno()).st_size
        return os.pread(
            self._complaints.fileno(),
            _COMPLAINT_BYTES,
            max(0, told - _COMPLAINT_BYTES),
        )

    def _stop(self) -> None:
        self._disconnect()
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def _start(
    image: str,
    files: Sequence[int],
    address: str,
    options: Sequence[str],
    stderr: int,
) -> qemu.Process:
    """Start a server that listens at an address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen(_CONNECTIONS)
        command = [
            'qemu-nbd',
            f'--shared={_CONNECTIONS}',
            '--discard=unmap',
            *_caching(files),
            *options,
            image,
        ]
        return qemu.start(
            ['/bin/sh', '-c', _SHELL, 'sh', *qemu.limited(command)],
            pass_fds=files,
            stdin=listener.fileno(),
            stderr=stderr,
            environment=_ENVIRONMENT,
        )


def _open(
    stack: contextlib.ExitStack,
    path: str,
    links: Sequence[model.Link],
    *,
    writable: bool,
) -> list[int]:
    """Open the files of a chain, checked, under numbers of their own."""
    directory, name = os.path.split(path)
    if links[0].name != name:
        raise errors.SourceError(
            f'{path} is not the first image of its chain, {links[0].name} is'
        )
    try:
        parent = os.open(
            directory or '.', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        )
    except OSError as exc:
        raise errors.SourceError(
            f'cannot open {directory}: {exc.strerror}'
        ) from exc
    files = []
    try:
        with chain_.opened(parent, links, writable=writable) as checked:
            for fd in checked:
                files.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD))
                stack.callback(os.close, files[-1])
    finally:
        os.close(parent)
    return files


def _caching(files: Sequence[int]) -> list[str]:
    """Return the options that keep the data out of the page cache.

    None where it is there already, and where a file system, such as tmpfs,
    cannot do without.
    """
    if all(direct.is_cached(fd) for fd in files):
        return []
    for fd in files:
        try:
            os.close(
                os.open(
                    qemu.descriptor_path(fd),
                    os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC,
                )
            )
        except OSError:
            return []
    return ['--cache=none', '--aio=native']

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

"""A real daemon, and whatever can be sent to it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import socket
import subprocess
import sys
from typing import Any, ClassVar

import msgpack  # type: ignore[import-untyped] # it has no types

from tests.unit.privileged import hostile
from tests.unit.privileged import stage

PREFIX = 'backupkit.privileged.mounts.'
PING, PONG, CALL, RET, ERR, LOG = range(1, 7)

#: No names of calls that are served.
CALLS: tuple[object, ...] = (
    *('mount', 'unmount', 'os.system', 'os.popen', 'os.execv', 'os.fork'),
    *(
        'os._exit',
        'os.kill',
        'os.setuid',
        'os.chmod',
        'os.unlink',
        'posix.system',
    ),
    *('subprocess.call', 'subprocess.Popen', 'subprocess.run', 'sys.exit'),
    *('builtins.eval', 'builtins.exec', 'builtins.open', 'builtins.print'),
    *('builtins.__import__', 'importlib.import_module', 'ctypes.CDLL'),
    *('shutil.rmtree', 'pathlib.Path', 'socket.socket', 'threading.Thread'),
    *('oslo_privsep.daemon.helper_main', 'oslo_privsep.daemon.Daemon'),
    *('oslo_privsep.capabilities.drop_all_caps_except',),
    *('oslo_config.cfg.CONF', 'oslo_config.cfg.ConfigOpts'),
    *('backupkit.privileged.context', 'backupkit.privileged.Context'),
    *('backupkit.privileged.context.start', 'backupkit.privileged._renounce'),
    *('backupkit.privileged.programs.mount',),
    *('backupkit.privileged.programs.unmount',),
    *('backupkit.privileged.programs._run', 'backupkit.privileged.serve.main'),
    *('backupkit.privileged.programs.log_in',),
    *('backupkit.privileged.credentials.read',),
    *('backupkit.privileged.login.main', 'backupkit.privileged.login._mount'),
    *('backupkit.privileged.programs.subprocess.Popen',),
    *('backupkit.privileged.custody.directory',),
    *('backupkit.privileged.custody.file',),
    *('backupkit.privileged.shares.find', 'backupkit.privileged.mount'),
    *(PREFIX + '_mount', PREFIX + '_users', PREFIX + '_opened', PREFIX + 'os'),
    *(PREFIX + 'programs', PREFIX + 'programs.mount', PREFIX + 'mount.func'),
    *(PREFIX + 'mount.args', PREFIX + '__dict__', PREFIX + '', PREFIX + ' '),
    *(PREFIX + 'Mount', PREFIX + 'mount ', PREFIX + 'mount\0', PREFIX + '.'),
    *(' ' + PREFIX + 'mount', PREFIX.upper() + 'mount', 'x.' + PREFIX),
    *('antigravity.x', 'this.s', 'test.support.x', 'idlelib.run.x'),
    *('turtle.x', 'os_brick.privileged.rootwrap.execute_root'),
    *('os_brick.privileged.rootwrap.execute', '__main__.main', '__main__.os'),
    *('tests.unit.privileged.served.main', 'backupkit_plugins.x.y'),
    *(
        '',
        '.',
        '..',
        '...',
        '.mount',
        'mount.',
        '/bin/sh',
        '../x',
        'a' * 70000,
    ),
    *('\0', '\n', '\ud800.x', 'm\u00f6unt.x', '-c', '$(id)', '`id`.x'),
    *(None, True, 0, 1.5, b'', b'os.system', (), ('os', 'system'), {}, {1: 2}),
)

#: Arguments and keywords that the calls do not take.
ARGUMENTS: tuple[tuple[object, object], ...] = (
    ((), {}),
    (('target:share',), {}),
    (('target:share', '', ''), {}),
    (('target:share', ''), {'version': ''}),
    (('target:share', ''), {'options': 'suid'}),
    (('target:share', ''), {'share': 'evil:/x'}),
    (('target:share', ''), {'path': '/etc'}),
    (('target:share', ''), {'_wrap_timeout': 1, 'x': 1}),
    (('target:share', ''), {'': ''}),
    (('target:share', ''), {1: 2}),
    (('target:share', ''), {b'x': 1}),
    (('target:share', ''), {None: 1}),
    (('target:share', ''), None),
    (('target:share', ''), 7),
    (('target:share', ''), 'x'),
    (('target:share', ''), ('a', 'b')),
    ((), {'name': 'target:share'}),
    ((), {'version': ''}),
    ((), {'name': None, 'version': None}),
    ('target:share', {}),
    ('ab', {}),
    (7, {}),
    (None, {}),
    ({'target:share': ''}, {}),
    ({'name': 'target:share', 'version': ''}, {}),
    (b'ab', {}),
    (('target:share',) * 1000, {}),
)

#: Bytes that are no message.
FRAMES = (
    b'\xc1',
    b'\x00',
    b'\x7f',
    b'\xff',
    b'\xc0',
    b'\xc2',
    b'\xa0',
    b'\xa1x',
    b'\x90',
    b'\x91\x01',
    b'\x80',
    b'\x81\x01\x02',
    b'\x93\xa1a\x91\x01\x01',
    b'\x92\xa1a\x01',
    b'\x92\xa1a\xc0',
    b'\x92\xa1a\xa0',
    b'\x92\xa1a\x90',
    b'\x92\xa1a\x80',
    b'\x92\xa1a\xc4\x00',
    b'\xca\x00\x00\x00\x00',
    b'\xd4\x01\x00',
    b'\xd6\xff\x00\x00\x00\x00',
    b'\xc7\xff\x7f' + b'\x00' * 255,
    b'\xdc\xff\xff',
    b'\xdd\xff\xff\xff\xff',
    b'\xdf\xff\xff\xff\xff',
    b'\xdb\xff\xff\xff\xff',
    b'\xc6\xff\xff\xff\xff',
    b'\xc9\xff\xff\xff\xff\x01',
    b'\xdd\x10\x00\x00\x00' + b'\xc0' * 1000,
    b'\x91' * 100000,
    b'\x81\x01' * 50000,
    b'\x92\xa1a' * 50000,
    b'\xdc\xff\xff' * 10000,
    b'\x92\xa1a\xdd\x7f\xff\xff\xff' + b'\xc0' * 1000,
    b'GET / HTTP/1.1\r\n\r\n',
    b'{"name": "target:share"}\n',
    b'\x80\x04\x95cos\nsystem\n(S"id"\ntR.',
    b'\0' * 4096,
    b'\xff' * 4096,
    b'mount target:share\n',
)


class Starter:
    """What starts daemons."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            number = str(theirs.fileno())
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'tests.unit.privileged.served', number],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.DEVNULL,
            )

    def close(self) -> None:
        self._control.close()
        self._process.wait(60)

    def start(self, top: pathlib.Path) -> socket.socket:
        """Start a daemon and return the other end of its socket."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(
                self._control, [os.fsencode(top)], [theirs.fileno()]
            )
        ours.settimeout(60)
        return ours


class Peer:
    """The other end of a daemon's socket."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours
        self._unpacker = msgpack.Unpacker(
            use_list=False,
            raw=False,
            strict_map_key=False,
            unicode_errors='surrogateescape',
        )

    def close(self) -> None:
        self._socket.close()

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def send(self, frame: bytes) -> bool:
        """Send bytes; return False where nobody takes them any more."""
        try:
            self._socket.sendall(frame)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def ask(self, message: object) -> Any:
        """Send a message and return its answer; None where there is none."""
        frame = msgpack.packb(
            ('id', message),
            use_bin_type=True,
            # Bytes that are no UTF-8 are among what may be sent.
            unicode_errors='surrogatepass',
        )
        return self.answer() if self.send(frame) else None

    def answer(self) -> Any:
        """Return the next answer; None where the daemon has closed."""
        while True:
            for number, answer in self._unpacker:
                if number is not None:
                    return answer
            try:
                read = self._socket.recv(65536)
            except ConnectionResetError:
                return None
            if not read:
                return None
            self._unpacker.feed(read)


class DaemonTest(stage.StageTest):
    starter: ClassVar[Starter]

    def setUp(self) -> None:
        super().setUp()
        self.peer = self.start()

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.starter = Starter()
        cls.addClassCleanup(cls.starter.close)

    def start(self) -> Peer:
        peer = Peer(self.starter.start(self.top))
        self.addCleanup(peer.close)
        self.assertEqual((PONG,), peer.ask((PING,)))
        return peer

    def assert_nothing_done(self) -> None:
        self.assertEqual([], self.lines())
        self.assertEqual([], os.listdir(self.top / 'run'))

    def assert_refused(self, message: object) -> None:
        answer = self.peer.ask(message)
        if answer is None:
            # It died, and closed the socket.
            self.peer.close()
            self.peer = self.start()
        else:
            self.assertEqual(ERR, answer[0], answer)
        self.assert_nothing_done()

    def call(self, name: str, *arguments: object) -> Any:
        return self.peer.ask((CALL, PREFIX + name, arguments, {}))


class ServingTest(DaemonTest):
    def test_when_the_calls_are_right_then_they_are_served(self) -> None:
        self.assertEqual(
            (RET, stage.PLACE), self.call('mount', 'target:share', '4.2')
        )
        self.assertEqual((RET, True), self.call('unmount', 'target:share'))
        self.assertEqual(
            ['MOUNT', 'UMOUNT'], [w for w in self.lines() if w.isupper()]
        )

    def test_when_the_other_end_closes_then_it_ends(self) -> None:
        self.peer.finish()
        self.assertIsNone(self.peer.answer())

    def test_when_it_serves_then_its_programs_gain_nothing(self) -> None:
        told = self.top / 'told'
        self.program('MOUNT', f'cat /proc/self/status > {told}; exit 1')
        self.call('mount', 'target:share', '')
        lines = [line.split() for line in told.read_text().splitlines()]
        status = {words[0]: words[1:] for words in lines}
        self.assertEqual(['1'], status['NoNewPrivs:'])
        for name in ('CapPrm:', 'CapEff:', 'CapInh:', 'CapAmb:'):
            self.assertEqual(['0' * 16], status[name], name)

    def test_when_it_fails_then_the_error_is_plain(self) -> None:
        self.program('MOUNT', 'echo no such share >&2; exit 32')
        code, kind, arguments, _trace = self.call('mount', 'target:share', '')
        self.assertEqual((ERR, 'backupkit.errors.TargetMissing'), (code, kind))
        self.assertEqual(
            (f'cannot mount {stage.SHARE}: no such share',), arguments
        )


class MisuseTest(DaemonTest):
    def test_when_another_call_is_asked_for_then_it_is_refused(self) -> None:
        for name in CALLS:
            with self.subTest(name=repr(name)[:80]):
                self.assert_refused((CALL, name, ('target:share', ''), {}))

    def test_when_a_module_is_named_then_it_is_not_imported(self) -> None:
        for name in ('antigravity', 'this', 'os_brick.privileged.rootwrap'):
            answer = self.peer.ask((CALL, f'{name}.x', (), {}))
            self.assertEqual('builtins.ModuleNotFoundError', answer[1])

    def test_when_arguments_do_not_fit_then_they_are_refused(self) -> None:
        for arguments, keywords in ARGUMENTS:
            with self.subTest(arguments=repr(arguments)[:80], more=keywords):
                self.assert_refused(
                    (CALL, PREFIX + 'mount', arguments, keywords)
                )

    def test_when_names_and_versions_are_hostile_then_they_are_refused(
        self,
    ) -> None:
        for name in hostile.NAMES:
            for call, more in (('mount', ('',)), ('unmount', ())):
                with self.subTest(name=repr(name)[:80], call=call):
                    self.assert_refused(
                        (CALL, PREFIX + call, (name, *more), {})
                    )
        for version in hostile.VERSIONS:
            with self.subTest(version=repr(version)[:80]):
                self.assert_refused(
                    (CALL, PREFIX + 'mount', ('target:share', version), {})
                )

    def test_when_a_message_is_no_call_then_it_is_refused(self) -> None:
        for kind in (0, 2, RET, ERR, LOG, 7, -1, 2**40, 'x', None, 1.5, ()):
            call: tuple[object, ...] = (
                PREFIX + 'mount',
                ('target:share', ''),
                {},
            )
            mores: tuple[tuple[object, ...], ...] = ((), call)
            for more in mores:
                with self.subTest(kind=kind, more=len(more)):
                    if kind == 2:
                        self.assert_refused((kind, *more, 'x'))
                    self.assert_refused((kind, *more))
        messages: tuple[object, ...] = (
            (CALL,),
            (CALL, PREFIX + 'mount'),
            (CALL, PREFIX + 'mount', ('target:share', '')),
            (CALL, PREFIX + 'mount', ('target:share', ''), {}, {}),
            (),
            7,
            None,
            'text',
        )
        for message in messages:
            with self.subTest(message=message):
                self.assert_refused(message)


class FrameTest(DaemonTest):
    def test_when_bytes_are_no_message_then_nothing_is_done(self) -> None:
        for frame in FRAMES:
            with self.subTest(frame=frame[:40]):
                self.peer.send(frame)
                self.peer.finish()
                answer = self.peer.answer()
                while answer is not None:
                    self.assertEqual(ERR, answer[0])
                    answer = self.peer.answer()
                self.assert_nothing_done()
            self.peer = self.start()

    def test_when_bytes_are_drawn_then_nothing_is_done(self) -> None:
        chance = random.Random(20261121)
        good = msgpack.packb(
            ('id', (CALL, PREFIX + 'mount', ('target:share', ''), {}))
        )
        for _number in range(60):
            frame = bytearray(good)
            for _change in range(chance.randint(1, 4)):
                frame[chance.randrange(len(PREFIX))] = chance.randrange(256)
            self.peer.send(bytes(frame) + chance.randbytes(16))
            self.peer.finish()
            while self.peer.answer() is not None:
                pass
            self.assert_nothing_done()
            self.peer = self.start()

    def test_when_an_argument_is_a_gibibyte_then_it_dies_closed(self) -> None:
        start = msgpack.packb(('id', (CALL, PREFIX + 'mount')))
        # An array of four whose third is a text of 1 GiB.
        frame = start.replace(b'\x92\x03', b'\x94\x03')
        self.peer.send(frame + b'\x92\xdb\x40\x00\x00\x00')
        sent = 0
        piece = b'x' * 2**20
        while sent < 2**30 and self.peer.send(piece):
            sent += len(piece)
        self.assertIsNone(self.peer.answer())
        self.assertLess(sent, 2**28)
        self.assert_nothing_done()

    def test_when_an_argument_is_large_then_little_is_told(self) -> None:
        code, _kind, arguments, _trace = self.call('mount', 'x' * 2**24, '')
        self.assertEqual(ERR, code)
        self.assertLess(len(arguments[0]), 200)
        self.assertEqual((PONG,), self.peer.ask((PING,)))

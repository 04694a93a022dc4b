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

"""100,000 generated strings, calls and frames, of which none may pass.

Each is made of something that would pass by a change after which it may
not, whatever else it is: so that it is refused needs no second opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import random

import msgpack  # type: ignore[import-untyped] # it has no types

from backupkit import errors
from backupkit.privileged import kinds
from tests.unit.privileged import test_daemon
from tests.unit.privileged import test_grammar

grammar = kinds.NFS.grammar

_SHARES = 45_000
_OPTIONS = 35_000
_CALLS = 19_000
_FRAMES = 1_000
#: Beyond these: of each other type, shares and options.
_OTHER_KINDS = 10_000

#: Signs that neither a share, an option nor the name of a section may have.
_NOWHERE = (
    *' \t\r\n\v\f\0\x1b\x7f\\\'"`$&|;<>(){}*?!#^',
    *('\u00e4', '\u0430', '\u0661', '\u200b', '\u202e', '\uff0c', '\uff0f'),
    *('\ud800', '\U0001f600', '--bind ', ' -o ', '\n[target:x]\n'),
)
#: Parts that no path may have.
_PARTS = ('', '.', '..')
#: Options that may not be given, alone or with a value.
_OTHERS = (
    *('suid', 'dev', 'exec', 'nosuid', 'user', 'users', 'owner', 'group'),
    *('remount', 'bind', 'rbind', 'move', 'loop', 'context', 'defaults'),
    *('addr', 'clientaddr', 'mountaddr', 'mounthost', 'helper', 'uhelper'),
    *(
        'X-mount.mkdir',
        'X-mount.subdir',
        'X-mount.owner',
        'x-systemd.requires',
    ),
    *('fsc', 'bg', 'async', 'lowerdir', 'fd', 'source', 'uid', 'credentials'),
    *('HARD', 'vers ', '-o', '--', '', '=', 'rsize=', 'port=0', 'vers=9'),
    *('timeo=-1', 'proto=sctp', 'sec=none', 'nconnect=17', 'retry=1.5'),
)
_SECTIONS = ('target:share', 'backend:share', 'target:a.b-c_d')


class HostileTest(test_daemon.DaemonTest):
    def setUp(self) -> None:
        super().setUp()
        self.chance = random.Random(self.id())

    def passed(
        self, count: int, make: Callable[[], str], check: Callable[[str], None]
    ) -> list[str]:
        """Return those that were let pass, of so many different ones."""
        made: set[str] = set()
        let = []
        while len(made) < count:
            text = make()
            if text not in made:
                made.add(text)
                try:
                    check(text)
                except errors.ConfigurationError:
                    continue
                let.append(text)
        return let

    def spoiled(self, text: str) -> str:
        """Return a text with something in it that may be nowhere."""
        for _ in range(self.chance.randint(1, 3)):
            place = self.chance.randint(0, len(text))
            sign = self.chance.choice(_NOWHERE)
            text = text[:place] + sign + text[place:]
        return text

    def share(self) -> str:
        text = self.chance.choice(test_grammar.SHARES)
        if self.chance.random() < 0.7:
            return self.spoiled(text)
        host, _, path = text.rpartition(':')
        parts = [
            ''.join(self.chance.choices('abz019-_.', k=8)) + 'x'
            for _ in range(self.chance.randint(1, 4))
        ]
        wrong = self.chance.choice(_PARTS)
        parts.insert(self.chance.randint(0, len(parts)), wrong)
        return f'{host}:{path.rstrip("/")}/{"/".join(parts)}'

    def options(self) -> str:
        text = self.chance.choice(test_grammar.OPTIONS)
        if text and self.chance.random() < 0.3:
            return self.spoiled(text)
        words = text.split(',') if text else []
        words += self.chance.choices(('noatime', 'nosharecache', 'ac'), k=2)
        value = ''.join(self.chance.choices('abz019/-:=%', k=5))
        other = self.chance.choice(_OTHERS)
        if '=' not in other and self.chance.random() < 0.5:
            other = f'{other}={value}'
        words.insert(self.chance.randint(0, len(words)), other)
        return ','.join(words)

    def call_frame(self) -> tuple[object, ...]:
        """Return a call of which something is wrong."""
        call, name, version = 'mount', 'target:share', '4.2'
        which = self.chance.randrange(3)
        if which == 0:
            call = self.spoiled(call)
        elif which == 1:
            name = self.spoiled(self.chance.choice(_SECTIONS))
        else:
            version = self.spoiled(self.chance.choice(grammar.versions))
        path = test_daemon.PREFIX + call
        return (test_daemon.CALL, path, (name, version), {})

    def test_when_a_share_is_made_hostile_then_none_passes(self) -> None:
        self.assertEqual(
            [], self.passed(_SHARES, self.share, grammar.check_share)
        )

    def test_when_options_are_made_hostile_then_none_pass(self) -> None:
        self.assertEqual(
            [], self.passed(_OPTIONS, self.options, grammar.check_options)
        )

    def test_when_another_kind_is_made_hostile_then_none_passes(self) -> None:
        for name, (shares, several) in test_grammar.OTHERS.items():
            checks = kinds.KINDS[name].grammar
            for texts, check in (
                (shares, checks.check_share),
                (several, checks.check_options),
            ):

                def make(texts: Sequence[str] = texts) -> str:
                    return self.spoiled(self.chance.choice(texts))

                self.assertEqual([], self.passed(_OTHER_KINDS, make, check))

    def test_when_a_call_is_made_hostile_then_none_is_served(self) -> None:
        for _ in range(_CALLS):
            self.assert_refused(self.call_frame())

    def test_when_a_frame_is_damaged_then_it_is_not_served(self) -> None:
        for _ in range(_FRAMES):
            self.send(self.damaged())
            self.assert_nothing_done()

    def damaged(self) -> bytes:
        """Return a frame of a call that could be served, cut or changed."""
        message = (test_daemon.CALL, test_daemon.PREFIX + 'mount')
        arguments: Sequence[object] = ('target:missing', '4.2')
        frame = bytearray(
            msgpack.packb(('id', (*message, arguments, {})), use_bin_type=True)
        )
        for _ in range(self.chance.randint(1, 6)):
            place = self.chance.randrange(len(frame))
            frame[place] = self.chance.randrange(256)
        return bytes(frame[: self.chance.randint(1, len(frame))])

    def send(self, frame: bytes) -> None:
        """Send bytes, and go on with a new daemon where that one died."""
        self.peer.send(frame)
        self.peer.finish()
        while (answer := self.peer.answer()) is not None:
            self.assertNotEqual(test_daemon.RET, answer[0], frame)
        self.peer.close()
        self.peer = self.start()

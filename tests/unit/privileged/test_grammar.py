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
import random
import string
import unittest

from backupkit import errors
from backupkit.privileged import kinds
from tests.unit.privileged import hostile

grammar = kinds.NFS.grammar

SHARES = (
    'server:/',
    'server:/export',
    'server.example.org:/srv/backup/one-1',
    'a:/b',
    '1server:/export',
    '127.0.0.1:/export',
    '[::1]:/export',
    '[2001:db8::7]:/vol/q_tree.1',
    '[::ffff:192.0.2.1]:/export',
    'server:/a@b/c+d/e=f/g~h/i%j',
    'server:/...',
    'a' * 63 + ':/' + 'b' * 255,
)
OPTIONS = (
    '',
    'hard',
    'vers=4.2,hard,timeo=600,retrans=2,rsize=1048576,wsize=1048576',
    'nfsvers=3,nolock,proto=tcp,mountproto=tcp,port=2049,mountport=635',
    'vers=4,minorversion=1,sec=krb5p,nconnect=16,xprtsec=mtls',
    'soft,ro,noac,lookupcache=none,local_lock=all,noatime,nodiratime',
    'softerr,rw,ac,actimeo=30,nosharecache,retry=0',
    'acregmin=3,acregmax=60,acdirmin=30,acdirmax=60,proto=rdma6',
)

#: Of the other types: shares, and mount options.
OTHERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    'glusterfs': (
        (
            'server:/volume',
            's1.example.org:/backup_1-a',
            '192.0.2.1:/v',
            'a:/0',
        ),
        (
            '',
            'backup-volfile-servers=s2:s3.example.org:192.0.2.3,rw',
            'log-level=WARNING,fetch-attempts=3,server-port=24007',
            'direct-io-mode=enable,use-readdirp=no,lru-limit=0,ro',
            'attribute-timeout=0,entry-timeout=0,negative-timeout=0',
            'background-qlen=64,congestion-threshold=48,noatime,nodiratime',
            'reader-thread-count=64',
        ),
    ),
    'smb': (
        ('//server/share', '//nas.example.org/back_up-1.x', '//192.0.2.1/b'),
        (
            '',
            'vers=3.1.1,seal,uid=42407,gid=42407,file_mode=0660,dir_mode=0770',
            'vers=3,sign,sec=ntlmssp,hard,cache=none,actimeo=0,port=4450',
            'vers=2.1,soft,rsize=1048576,wsize=4194304,forceuid,forcegid,ro',
            'multichannel,max_channels=4,echo_interval=30,nosharesock,rw',
        ),
    ),
}


class ShareTest(unittest.TestCase):
    def test_when_a_share_is_one_then_it_is_accepted(self) -> None:
        for share in SHARES:
            with self.subTest(share=share):
                grammar.check_share(share)

    def test_when_a_share_is_hostile_then_it_is_refused(self) -> None:
        for share in hostile.SHARES:
            with self.subTest(share=share[:80]):
                with self.assertRaises(errors.ConfigurationError) as caught:
                    grammar.check_share(share)
                self.assertLess(len(str(caught.exception)), 200)


class OptionsTest(unittest.TestCase):
    def test_when_options_are_harmless_then_they_are_accepted(self) -> None:
        for options in OPTIONS:
            with self.subTest(options=options):
                grammar.check_options(options)

    def test_when_options_are_hostile_then_they_are_refused(self) -> None:
        for options in hostile.OPTIONS:
            with self.subTest(options=options[:80]):
                with self.assertRaises(errors.ConfigurationError) as caught:
                    grammar.check_options(options)
                self.assertLess(len(str(caught.exception)), 200)

    def test_when_options_go_to_mount_then_ours_come_last(self) -> None:
        for options in OPTIONS:
            words = grammar.mount_options(options, '').split(',')
            self.assertEqual(['nosuid', 'nodev', 'noexec'], words[-3:])
            self.assertEqual(options, ','.join(words)[: len(options)])

    def test_when_a_version_is_asked_for_then_it_is_added(self) -> None:
        self.assertEqual(
            'hard,retry=0,vers=4.2,nosuid,nodev,noexec',
            grammar.mount_options('hard', '4.2'),
        )
        self.assertEqual(
            'retry=3,nosuid,nodev,noexec', grammar.mount_options('retry=3', '')
        )

    def test_when_a_version_is_hostile_then_it_is_refused(self) -> None:
        for version in hostile.VERSIONS:
            with (
                self.subTest(version=repr(version)[:80]),
                self.assertRaises(errors.PrivilegeError),
            ):
                grammar.mount_options('hard', version)

    def test_when_the_options_name_a_version_then_no_other_is(self) -> None:
        for options in ('vers=4.1', 'hard,nfsvers=3'):
            with self.assertRaises(errors.PrivilegeError):
                grammar.mount_options(options, '4.2')
            self.assertIn(options, grammar.mount_options(options, ''))


class OtherKindsTest(unittest.TestCase):
    def test_when_a_share_is_one_then_it_is_accepted(self) -> None:
        for name, (shares, options) in OTHERS.items():
            for share in shares:
                kinds.KINDS[name].grammar.check_share(share)
            for each in options:
                kinds.KINDS[name].grammar.check_options(each)

    def test_when_a_share_is_hostile_then_it_is_refused(self) -> None:
        for name, shares in hostile.OTHER_SHARES.items():
            self.assertGreater(len(shares), 100)
            for share in shares:
                with self.subTest(kind=name, share=share[:80]):
                    with self.assertRaises(
                        errors.ConfigurationError
                    ) as caught:
                        kinds.KINDS[name].grammar.check_share(share)
                    self.assertLess(len(str(caught.exception)), 200)

    def test_when_options_are_hostile_then_they_are_refused(self) -> None:
        for name, several in hostile.OTHER_OPTIONS.items():
            self.assertGreater(len(several), 100)
            for options in several:
                with self.subTest(kind=name, options=options[:80]):
                    with self.assertRaises(
                        errors.ConfigurationError
                    ) as caught:
                        kinds.KINDS[name].grammar.check_options(options)
                    self.assertLess(len(str(caught.exception)), 200)

    def test_when_options_go_to_mount_then_ours_come_last(self) -> None:
        for name, (_shares, several) in OTHERS.items():
            for options in several:
                ours = {'smb': ',iocharset=utf8'}.get(name, '')
                self.assertEqual(
                    f'{options}{ours},nosuid,nodev,noexec'.removeprefix(','),
                    kinds.KINDS[name].grammar.mount_options(options, ''),
                )

    def test_when_a_version_is_asked_for_then_it_is_refused(self) -> None:
        for name in OTHERS:
            for version in (*hostile.VERSIONS, '3', '4.0', '4.1', '4.2'):
                with self.assertRaises(errors.PrivilegeError):
                    kinds.KINDS[name].grammar.mount_options('', version)

    def test_when_kinds_are_named_then_by_their_options(self) -> None:
        self.assertEqual(['nfs', 'glusterfs', 'smb'], list(kinds.KINDS))
        for name, kind in kinds.KINDS.items():
            self.assertEqual(name, kind.name)


class GeneratedTest(unittest.TestCase):
    """Texts made of pieces that mean something to somebody.

    ``BACKUPKIT_HOSTILE`` says how many; 100,000 are right for a long run.
    """

    PIECES = (
        *('hard', 'ro', 'vers=4.2', 'timeo=100', 'host:/export', '/', ':'),
        *(',', '=', '-o', '--', ' ', '\n', '\0', '\\', '$', '`', ';', '..'),
        *('suid', 'dev', 'exec', 'bind', 'X-mount.', 'user', '\u0430', '[::'),
    )

    def test_when_a_generated_text_passes_then_it_is_harmless(self) -> None:
        chance = random.Random(20261121)
        harmless = set(string.ascii_letters + string.digits + ',=._-')
        count = int(os.environ.get('BACKUPKIT_HOSTILE', '2000'))
        for _number in range(count):
            text = ''.join(chance.choices(self.PIECES, k=chance.randint(1, 6)))
            try:
                grammar.check_options(text)
            except errors.ConfigurationError:
                pass
            else:
                self.assertLessEqual(set(text), harmless, text)
                names = {word.partition('=')[0] for word in text.split(',')}
                self.assertLessEqual(
                    names, {'hard', 'ro', 'vers', 'timeo'}, text
                )
            try:
                grammar.check_share(text)
            except errors.ConfigurationError:
                continue
            self.assertRegex(text, r'\A[\w.:\[\]-]+:/[\w=./-]*\Z', text)
            self.assertFalse(text.startswith('-'), text)
            self.assertNotIn('..', text.split('/'), text)
            self.assertTrue(text.isascii(), text)

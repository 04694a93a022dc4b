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

"""The types of shares that are mounted."""

from __future__ import annotations

import dataclasses
import re

from backupkit.privileged import grammar as grammar_


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One type of share.

    ``filesystems`` are what the kernel may call it when it is mounted.
    """

    #: As os-brick and mount(8) call it.
    mount_type: str
    #: What os-brick's names of its settings begin with.
    brick_prefix: str
    filesystems: frozenset[str]
    grammar: grammar_.Grammar
    #: Whether it is mounted with a name and a password.
    has_credentials: bool = False

    @property
    def name(self) -> str:
        """The part of the names of its options."""
        return self.grammar.kind


_COUNT = r'[0-9]{1,6}'
_PORT = r'[1-9][0-9]{0,4}'
_PROTO = r'(tcp|udp|rdma)6?'
_SIZE = r'[1-9][0-9]{3,7}'
_SWITCH = r'yes|no|on|off|enable|disable'
_NUMBER = r'0|[1-9][0-9]{0,8}'
_MODE = r'0[0-7]{3}'
_HOST = r'(?P<name>[0-9A-Za-z.-]+)'
_LABEL = r'[0-9A-Za-z]([0-9A-Za-z.-]{0,61}[0-9A-Za-z])?'

NFS = Kind(
    'nfs',
    'nfs',
    frozenset({'nfs', 'nfs4'}),
    grammar_.Grammar(
        'nfs',
        re.compile(
            rf'(\[(?P<ipv6>[0-9A-Fa-f:.]{{2,45}})\]|{_HOST})'
            r':(?P<path>/|(/(?!\.\.?(/|$))[A-Za-z0-9_.@%+=~-]{1,255})+)'
        ),
        'host:/path or [ipv6]:/path',
        {
            **dict.fromkeys(('vers', 'nfsvers'), r'3|4(\.[012])?'),
            'minorversion': r'[012]',
            **dict.fromkeys(('proto', 'mountproto'), _PROTO),
            **dict.fromkeys(('port', 'mountport'), _PORT),
            **dict.fromkeys(('rsize', 'wsize'), _SIZE),
            **dict.fromkeys(('timeo', 'retrans', 'retry', 'actimeo'), _COUNT),
            **dict.fromkeys(('acregmin', 'acregmax', 'acdirmin'), _COUNT),
            'acdirmax': _COUNT,
            'sec': r'sys|krb5[ip]?',
            'nconnect': r'[1-9]|1[0-6]',
            'xprtsec': r'none|m?tls',
            'lookupcache': r'all|none|pos|positive',
            'local_lock': r'all|none|flock|posix',
            **dict.fromkeys(('hard', 'soft', 'softerr', 'ac', 'noac')),
            **dict.fromkeys(('ro', 'rw', 'nolock', 'noatime', 'nodiratime')),
            'nosharecache': None,
        },
        one_of=(
            ('vers', 'nfsvers'),
            ('hard', 'soft', 'softerr'),
            ('ac', 'noac'),
            ('ro', 'rw'),
        ),
        needs={'minorversion': ('vers', 'nfsvers')},
        # By default mount.nfs(8) tries for two minutes and then says only
        # that it timed out; the client tries again where that helps.
        defaults={'retry': '0'},
        versions=('', '3', '4.0', '4.1', '4.2'),
    ),
)

GLUSTERFS = Kind(
    'glusterfs',
    'glusterfs',
    frozenset({'fuse.glusterfs'}),
    grammar_.Grammar(
        'glusterfs',
        re.compile(rf'{_HOST}:(?P<path>/[A-Za-z0-9][A-Za-z0-9_-]{{0,254}})'),
        'host:/volume',
        # The names of files (log-file, dump-fuse) and of translators
        # (xlator-option) are not among them.
        {
            'backup-volfile-servers': rf'{_LABEL}(:{_LABEL}){{0,7}}',
            'server-port': _PORT,
            'fetch-attempts': r'[1-9][0-9]?',
            'log-level': r'CRITICAL|ERROR|WARNING|INFO|NONE',
            'direct-io-mode': _SWITCH,
            'use-readdirp': _SWITCH,
            **dict.fromkeys(
                ('attribute-timeout', 'entry-timeout', 'negative-timeout'),
                _COUNT,
            ),
            'background-qlen': _COUNT,
            'congestion-threshold': _COUNT,
            'lru-limit': _COUNT,
            'reader-thread-count': r'[1-9]|[1-5][0-9]|6[0-4]',
            **dict.fromkeys(('ro', 'rw', 'noatime', 'nodiratime')),
        },
        one_of=(('ro', 'rw'),),
    ),
)

SMB = Kind(
    'cifs',
    'smbfs',
    frozenset({'cifs'}),
    grammar_.Grammar(
        'smb',
        re.compile(rf'//{_HOST}/(?P<path>[A-Za-z0-9][A-Za-z0-9_.-]{{0,79}})'),
        '//host/share',
        # Who mounts (username, password, credentials) stands in a file of
        # root's. Versions before 2.1 are long obsolete.
        {
            'vers': r'2\.1|3|3\.0|3\.0\.2|3\.1\.1',
            'sec': r'ntlmssp|ntlmsspi',
            **dict.fromkeys(('uid', 'gid'), _NUMBER),
            **dict.fromkeys(('file_mode', 'dir_mode'), _MODE),
            **dict.fromkeys(('rsize', 'wsize'), _SIZE),
            'cache': r'strict|none',
            **dict.fromkeys(('actimeo', 'acregmax', 'acdirmax'), _COUNT),
            'echo_interval': r'[1-9][0-9]{0,2}',
            'max_channels': r'[1-9]|1[0-6]',
            'port': _PORT,
            **dict.fromkeys(('hard', 'soft', 'ro', 'rw')),
            **dict.fromkeys(('forceuid', 'forcegid', 'seal', 'sign')),
            **dict.fromkeys(('multichannel', 'nosharesock')),
        },
        one_of=(('hard', 'soft'), ('ro', 'rw')),
        needs={'max_channels': ('multichannel',)},
        # What the name and the password are written in; what a kernel takes
        # them for by default is its builder's choice.
        defaults={'iocharset': 'utf8'},
    ),
    has_credentials=True,
)

KINDS = {kind.name: kind for kind in (NFS, GLUSTERFS, SMB)}

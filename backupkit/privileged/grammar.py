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

"""What may stand in a configuration as a share and its mount options.

Everything that is not known to be harmless is refused. Sources: nfs(5), RFC
1123 for host names; the path is narrower than NFS allows, so that it needs
no quoting anywhere.
"""

from __future__ import annotations

import ipaddress
import re

from backupkit import errors

#: Of contradicting options the last one wins in mount(8).
ALWAYS = ('nosuid', 'nodev', 'noexec')
#: ``''`` leaves the choice to mount.nfs(8), or to the options.
VERSIONS = ('', '3', '4.0', '4.1', '4.2')

_MAX_OPTIONS = 1024
_SHARE = re.compile(
    r'(?P<host>\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[0-9A-Za-z.-]+))'
    r':(?P<path>/|(/(?!\.\.?(/|$))[A-Za-z0-9_.@%+=~-]{1,255})+)'
)
_NAME = re.compile(
    r'(?=.{1,253}$)[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?'
    r'(\.[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?)*'
)

_COUNT = r'[0-9]{1,6}'
_PORT = r'[1-9][0-9]{0,4}'
_PROTO = r'(tcp|udp|rdma)6?'
_SIZE = r'[1-9][0-9]{3,7}'
_VERS = r'3|4(\.[012])?'
#: Each option with the pattern of its value; None where it has none.
_OPTIONS: dict[str, str | None] = {
    **dict.fromkeys(('vers', 'nfsvers'), _VERS),
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
}
#: Options of which only one may be given.
_ONE_OF = (
    ('vers', 'nfsvers'),
    ('hard', 'soft', 'softerr'),
    ('ac', 'noac'),
    ('ro', 'rw'),
)


def check_share(share: str) -> None:
    """Refuse what is not ``name:/path``, ``ipv4:/path``, ``[ipv6]:/path``.

    :raises errors.ConfigurationError: it is not
    """
    match = _SHARE.fullmatch(share)
    if not match or len(match['path']) > 1024 or not _is_host(match):
        raise errors.ConfigurationError(
            f'backup_nfs_share {share!r:.80} is not of the form host:/path '
            'or [ipv6]:/path'
        )


def _is_host(match: re.Match[str]) -> bool:
    name = match['name']
    try:
        if match['ipv6']:
            ipaddress.IPv6Address(match['ipv6'])
        elif not name.strip('0123456789.'):
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return not name or bool(_NAME.fullmatch(name))


def check_options(text: str) -> None:
    """Refuse every mount option that is not known to be harmless.

    :raises errors.ConfigurationError: there is one
    """
    if len(text) > _MAX_OPTIONS:
        raise _refused(text, 'they are too long')
    names = []
    for option in text.split(',') if text else ():
        name, equals, value = option.partition('=')
        if name not in _OPTIONS:
            raise _refused(option, 'this one is not allowed')
        pattern = _OPTIONS[name]
        if bool(equals) != bool(pattern):
            needs = 'needs a' if pattern else 'takes no'
            raise _refused(option, f'this one {needs} value')
        if pattern and not re.fullmatch(pattern, value):
            raise _refused(option, 'its value is not allowed')
        names.append(name)
    _check_together(text, names)


def _check_together(text: str, names: list[str]) -> None:
    if len(names) != len(set(names)):
        raise _refused(text, 'one is there twice')
    for several in _ONE_OF:
        if len(set(several).intersection(names)) > 1:
            raise _refused(text, f'only one of {", ".join(several)}')
    if 'minorversion' in names and not has_version(text):
        raise _refused(text, 'minorversion needs vers')


def has_version(options: str) -> bool:
    """Tell whether checked options say which version of NFS to use."""
    return bool(re.search(r'(^|,)(nfs)?vers=', options))


def mount_options(configured: str, version: object) -> str:
    """Return what follows ``-o``, from checked options.

    :raises errors.PrivilegeError: the version is none, or one too many
    """
    if not isinstance(version, str) or version not in VERSIONS:
        raise errors.PrivilegeError(f'{version!r:.80} is no version of NFS')
    if version and has_version(configured):
        raise errors.PrivilegeError(
            'the mount options name the version already'
        )
    options = [configured] if configured else []
    if not re.search(r'(^|,)retry=', configured):
        # By default mount.nfs(8) tries for two minutes and then says only
        # that it timed out; the client tries again where that helps.
        options.append('retry=0')
    if version:
        options.append(f'vers={version}')
    return ','.join((*options, *ALWAYS))


def _refused(text: str, why: str) -> errors.ConfigurationError:
    return errors.ConfigurationError(
        f'backup_nfs_mount_options {text!r:.80}: {why}'
    )

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

"""How shares are written, and what may be asked of mount(8)."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import ipaddress
import re

from backupkit import errors

#: Of contradicting options the last one wins in mount(8).
ALWAYS = ('nosuid', 'nodev', 'noexec')

_MAX_OPTIONS = 1024
_MAX_PATH = 1024
_NAME = re.compile(
    r'(?=.{1,253}$)[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?'
    r'(\.[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?)*'
)


@dataclasses.dataclass(frozen=True, slots=True)
class Grammar:
    """How shares of one type are written, with their mount options.

    ``share`` matches a share, with the groups ``path`` and ``name`` or
    ``ipv6``; ``form`` is that in words. ``options`` has each option that
    may be given, with the pattern of its value, or None where it takes none.
    """

    kind: str
    share: re.Pattern[str]
    form: str
    options: Mapping[str, str | None]
    #: Options of which only one may be given.
    one_of: tuple[tuple[str, ...], ...] = ()
    #: Options that need one of others.
    needs: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )
    #: What is added where the options do not have it.
    defaults: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: What may be asked for. ``''`` leaves the choice to the program that
    #: mounts, or to the options.
    versions: tuple[str, ...] = ('',)

    def check_share(self, share: str) -> None:
        """Refuse what is not of the form.

        :raises errors.ConfigurationError: it is not
        """
        match = self.share.fullmatch(share)
        if not match or len(match['path']) > _MAX_PATH or not _is_host(match):
            raise errors.ConfigurationError(
                f'backup_{self.kind}_share {share!r:.80} is not of the form '
                f'{self.form}'
            )

    def check_options(self, text: str) -> None:
        """Refuse every mount option that is not known to be harmless.

        :raises errors.ConfigurationError: there is one
        """
        if len(text) > _MAX_OPTIONS:
            raise self._refused(text, 'they are too long')
        names = []
        for option in text.split(',') if text else ():
            name, equals, value = option.partition('=')
            if name not in self.options:
                raise self._refused(option, 'this one is not allowed')
            pattern = self.options[name]
            if bool(equals) != bool(pattern):
                needs = 'needs a' if pattern else 'takes no'
                raise self._refused(option, f'this one {needs} value')
            if pattern and not re.fullmatch(pattern, value):
                raise self._refused(option, 'its value is not allowed')
            names.append(name)
        self._check_together(text, names)

    def _check_together(self, text: str, names: list[str]) -> None:
        if len(names) != len(set(names)):
            raise self._refused(text, 'one is there twice')
        for several in self.one_of:
            if len(set(several).intersection(names)) > 1:
                raise self._refused(text, f'only one of {", ".join(several)}')
        for name, others in self.needs.items():
            if name in names and not set(others).intersection(names):
                raise self._refused(text, f'{name} needs {others[0]}')

    def mount_options(self, configured: str, version: object) -> str:
        """Return what follows ``-o``, from checked options.

        :raises errors.PrivilegeError: the version is none, or one too many
        """
        if not isinstance(version, str) or version not in self.versions:
            raise errors.PrivilegeError(
                f'{version!r:.80} is no version of {self.kind}'
            )
        if version and has_version(configured):
            raise errors.PrivilegeError(
                'the mount options name the version already'
            )
        options = [configured] if configured else []
        given = {word.partition('=')[0] for word in configured.split(',')}
        options += [
            f'{name}={value}'
            for name, value in self.defaults.items()
            if name not in given
        ]
        if version:
            options.append(f'vers={version}')
        return ','.join((*options, *ALWAYS))

    def _refused(self, text: str, why: str) -> errors.ConfigurationError:
        return errors.ConfigurationError(
            f'backup_{self.kind}_mount_options {text!r:.80}: {why}'
        )


def has_version(options: str) -> bool:
    """Tell whether checked options say which version of NFS to use."""
    return bool(re.search(r'(^|,)(nfs)?vers=', options))


def _is_host(match: re.Match[str]) -> bool:
    parts = match.groupdict()
    try:
        if parts.get('ipv6'):
            ipaddress.IPv6Address(parts['ipv6'])
            return True
        name = parts['name']
        if not name.strip('0123456789.'):
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return bool(_NAME.fullmatch(name))

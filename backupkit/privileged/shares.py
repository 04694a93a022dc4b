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

"""The shares that the daemon's configuration file names."""

from __future__ import annotations

import contextlib
import dataclasses
import re

from oslo_config import cfg

from backupkit.conf import mounts
from backupkit import errors
from backupkit.privileged import custody
from backupkit.privileged import kinds

_SECTION = re.compile(r'(backend|target):[A-Za-z0-9][A-Za-z0-9_.-]{0,62}')


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """What one section says of its share; all of it checked."""

    source: str
    options: str
    base: str
    timeout: int
    kind: kinds.Kind = kinds.NFS
    #: The file with the name and the password, where it takes some.
    credentials: str = ''

    @property
    def terms(self) -> str:
        """What all who use one mount of it must agree on."""
        return mounts.terms(self.options, self.credentials)

    @property
    def path(self) -> str:
        """Where it is mounted."""
        return mounts.mount_point(self.base, self.source)


def find(name: object) -> Share:
    """Return the share of a section.

    :raises errors.PrivilegeError: this is no section of ours, or the
        configuration can be written by others than root
    :raises errors.ConfigurationError: what it says is wrong
    """
    if not isinstance(name, str) or not _SECTION.fullmatch(name):
        raise errors.PrivilegeError(f'{name!r:.80} is no name of a section')
    shares = _all()
    if name not in shares:
        raise errors.PrivilegeError(
            f"the helper's configuration has no section [{name}] with a share"
        )
    share = shares[name]
    for other, twin in shares.items():
        alike = (twin.kind, twin.terms) == (share.kind, share.terms)
        if twin.source == share.source and not alike:
            # The kernel would use the options of whichever came first.
            raise errors.ConfigurationError(
                f'[{name}] and [{other}] name the same share with different '
                'mount options'
            )
    share.kind.grammar.check_share(share.source)
    share.kind.grammar.check_options(share.options)
    if share.kind.has_credentials and not share.credentials:
        raise errors.ConfigurationError(
            f'[{name}]: backup_{share.kind.name}_credentials is missing'
        )
    return share


def _all() -> dict[str, Share]:
    conf = _configuration()
    shares = {}
    for name in conf.list_all_sections():
        if _SECTION.fullmatch(name):
            conf.register_opts(mounts.of_all(), group=name)
            try:
                share = _read(name, conf[name])
            except (cfg.Error, ValueError) as error:
                raise errors.ConfigurationError(
                    f'[{name}]: {error.__context__ or error}'
                ) from error
            if share is not None:
                shares[name] = share
    return shares


def _read(name: str, section: cfg.ConfigOpts.GroupAttr) -> Share | None:
    given = [
        kind
        for kind in kinds.KINDS.values()
        if section[mounts.SHARES[kind.name]]
    ]
    if len(given) > 1:
        both = ' and '.join(mounts.SHARES[kind.name] for kind in given)
        raise errors.ConfigurationError(f'[{name}]: {both}: only one of them')
    # Whatever the section has of the rest must be right, too.
    kind = given[0] if given else kinds.NFS
    credentials = ''
    if kind.has_credentials:
        credentials = section[f'backup_{kind.name}_credentials'] or ''
    share = Share(
        section[mounts.SHARES[kind.name]] or '',
        section[f'backup_{kind.name}_mount_options'] or '',
        section.backup_mount_point_base,
        section.mount_timeout_seconds,
        kind,
        credentials,
    )
    return share if given else None


def _configuration() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    with contextlib.ExitStack() as opened:
        files = [
            f'/proc/self/fd/{opened.enter_context(custody.file(path))}'
            for path in getattr(cfg.CONF, 'config_file', None) or ()
        ]
        try:
            conf(
                [],
                default_config_files=files,
                default_config_dirs=[],
                use_env=False,
            )
        except cfg.Error as error:
            raise errors.ConfigurationError(
                f"cannot read the helper's configuration: {error}"
            ) from error
    return conf

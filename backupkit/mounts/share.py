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

"""What a section says of its share, to those without privilege."""

from __future__ import annotations

import dataclasses
from typing import Any

from backupkit.conf import mounts as options
from backupkit import errors
from backupkit.privileged import kinds


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """The share of a section; ``options`` as configured."""

    name: str
    source: str
    options: str
    base: str
    attempts: int
    timeout: float
    kind: kinds.Kind
    #: The file with the name and the password, where it takes some.
    credentials: str = ''

    @property
    def terms(self) -> str:
        """What all who use one mount of it must agree on."""
        return options.terms(self.options, self.credentials)

    @property
    def path(self) -> str:
        """Where it is mounted."""
        return options.mount_point(self.base, self.source)


def read(name: str, section: Any, kind_name: str) -> Share:
    """Return the share of a section, checked as the daemon will check it.

    :raises errors.ConfigurationError: the section has none, or a wrong one
    """
    kind = kinds.KINDS[kind_name]
    source = _needed(name, section, options.SHARES[kind_name])
    mount_options = getattr(section, f'backup_{kind_name}_mount_options') or ''
    credentials = ''
    if kind.has_credentials:
        option = f'backup_{kind_name}_credentials'
        credentials = _needed(name, section, option)
    try:
        kind.grammar.check_share(source)
        kind.grammar.check_options(mount_options)
    except errors.ConfigurationError as error:
        raise errors.ConfigurationError(f'section [{name}]: {error}') from None
    return Share(
        name,
        source,
        mount_options,
        section.backup_mount_point_base,
        section.backup_mount_attempts,
        section.mount_timeout_seconds,
        kind,
        credentials,
    )


def _needed(name: str, section: Any, option: str) -> str:
    value = getattr(section, option)
    if not value:
        raise errors.ConfigurationError(
            f'section [{name}]: {option} is missing'
        )
    return str(value)

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
from backupkit.privileged import grammar


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """The share of a section; ``options`` as configured."""

    name: str
    source: str
    options: str
    base: str
    attempts: int
    timeout: float

    @property
    def path(self) -> str:
        """Where it is mounted."""
        return options.mount_point(self.base, self.source)


def read(name: str, section: Any) -> Share:
    """Return the share of a section, checked as the daemon will check it.

    :raises errors.ConfigurationError: the section has none, or a wrong one
    """
    source = section.backup_nfs_share
    mount_options = section.backup_nfs_mount_options or ''
    try:
        if not source:
            raise errors.ConfigurationError('backup_nfs_share is missing')
        grammar.check_share(source)
        grammar.check_options(mount_options)
    except errors.ConfigurationError as error:
        raise errors.ConfigurationError(f'section [{name}]: {error}') from None
    return Share(
        name,
        source,
        mount_options,
        section.backup_mount_point_base,
        section.backup_mount_attempts,
        section.mount_timeout_seconds,
    )

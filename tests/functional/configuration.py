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

"""The configurations that the functional tests have."""

from __future__ import annotations

import pathlib

_BEGINNING = """\
[DEFAULT]
enabled_backends = {backends}
enabled_targets = repo
default_target = repo
state_path = {root}/state
{more}
[catalog]
connection = sqlite:///{root}/catalog.sqlite
"""
_TEXT = """\
[backend:local]
driver = file
volumes_dir = {root}/volumes
[target:repo]
driver = posix
backup_posix_path = {root}/repo
"""


def beginning(
    root: pathlib.Path, *, backends: str = 'local', more: str = ''
) -> str:
    """Return what comes before the sections of the drivers.

    The one target is called ``repo``.

    :param more: lines for the section ``DEFAULT``
    """
    return _BEGINNING.format(root=root, backends=backends, more=more)


def write(root: pathlib.Path, more: str = '') -> pathlib.Path:
    """Make what it names below a directory; return the file.

    :param more: lines for the section of the target
    """
    for name in ('volumes', 'repo'):
        (root / name).mkdir()
    path = root / 'backupkit.conf'
    path.write_text(beginning(root) + _TEXT.format(root=root) + more)
    return path

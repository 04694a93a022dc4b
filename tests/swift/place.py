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

"""A configuration whose target is a container in the real Swift."""

from __future__ import annotations

import pathlib

from tests.swift import cloud

_TARGET = """\
[target:repo]
driver = swift
container = {container}
auth_type = v1password
auth_url = {url}
username = {user}
password = {key}
chunk_size_bytes = 65536
pack_size_bytes = 1048576
"""


def write(
    root: pathlib.Path, container: str, auth_url: str, more: str = ''
) -> None:
    """Put the target into a configuration that has another one.

    :param more: lines for its section
    """
    path = root / 'backupkit.conf'
    before = path.read_text().partition('[target:repo]')[0]
    target = _TARGET.format(
        container=container, url=auth_url, user=cloud.USER, key=cloud.KEY
    )
    path.write_text(before + target + more)

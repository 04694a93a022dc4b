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


"""What a name stands for, as its file server knows it now."""

from __future__ import annotations

import os
import stat

from backupkit_plugins.targets.posix import fsops


def look(directory: int, leaf: str) -> os.stat_result:
    """Describe what a name in an open directory stands for.

    What a client of NFS knows of a name may be a minute old, and is looked
    up anew where a file is opened.

    :raises FileNotFoundError: it stands for nothing
    """
    found = fsops.lstat(directory, leaf)
    if not stat.S_ISREG(found.st_mode):
        return found
    fd = fsops.open_file(directory, leaf)
    try:
        return fsops.fstat(fd)
    finally:
        fsops.close(fd)

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

"""Making directories and files last, with modes that no umask changes."""

from __future__ import annotations

import os

#: Files may be shared by a group, never with the world.
FILE_MODE = 0o660
_MODE = 0o770


def make(path: str) -> None:
    """Make a directory, and its parents, where they are missing."""
    if os.path.isdir(path):
        return
    make(os.path.dirname(os.path.abspath(path)))
    try:
        os.mkdir(path, _MODE)
    except FileExistsError:
        return
    os.chmod(path, _MODE)


def sync(path: str) -> None:
    """Make sure that the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> None:
    """Remove a file; absent is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass

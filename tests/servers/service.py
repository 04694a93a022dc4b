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

"""Services that a process which tests has one of, while it lives."""

from __future__ import annotations

import atexit
from collections.abc import Callable
import os
import pathlib
import shutil
import tempfile
from typing import Protocol, TypeVar

_MEMORY = '/dev/shm'


class Service(Protocol):
    """What has servers below a directory."""

    def start(self) -> None:
        """Start them all, and wait until they work."""

    def stop(self) -> None:
        """End them all, those too that never began."""


_Made = TypeVar('_Made', bound=Service)


def memory() -> str | None:
    """Return the memory's file system, where it can be written to."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None


def begin(
    name: str, place: str | None, make: Callable[[pathlib.Path], _Made]
) -> _Made:
    """Make and start a service, in a directory of its own.

    All is gone when this process ends, or when it cannot be started.

    :param place: where that directory is, or None for the usual one
    """
    root = pathlib.Path(
        tempfile.mkdtemp(prefix=f'backupkit-{name}-', dir=place)
    )
    made: list[_Made] = []
    process = os.getpid()

    def end() -> None:
        # A child that was forked must not end what its parent uses.
        if os.getpid() == process:
            for one in made:
                one.stop()
            shutil.rmtree(root, ignore_errors=True)

    atexit.register(end)
    try:
        # Other users run some of the servers.
        root.chmod(0o755)
        made.append(make(root))
        made[0].start()
    except BaseException:
        end()
        raise
    return made[0]

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


"""What the flows of a process are given: drivers, catalog, control.

A flow factory has plain arguments, so that another process can call it by
name and go on with a flow. Drivers it finds by their names here. The
environment in use is set before an engine is loaded::

    with environment.using(env):
        engine = engines.load_from_factory(backup.flow, ...)
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import contextvars
import dataclasses
from typing import Protocol

from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors


class Drivers(Protocol):
    """Gives configured drivers by the names of their sections."""

    def volume_driver(self, backend: str) -> volume_.VolumeDriver:
        """Return the volume driver of a backend."""

    def target(self, name: str) -> target_.Target:
        """Return a target."""


@dataclasses.dataclass(frozen=True, slots=True)
class Environment:
    """What tasks work with; see the module.

    :ivar resumed: the run goes on where another process left it
    """

    drivers: Drivers
    catalog: catalog_.Catalog
    control: control_.Control
    resumed: bool = False


_CURRENT: contextvars.ContextVar[Environment] = contextvars.ContextVar(
    'backupkit_environment'
)


@contextlib.contextmanager
def using(environment: Environment) -> Iterator[None]:
    """Make ``environment`` the current one of this thread."""
    token = _CURRENT.set(environment)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Environment:
    """Return the environment in use.

    :raises errors.UsageError: none was set
    """
    try:
        return _CURRENT.get()
    except LookupError:
        raise errors.UsageError(
            'a flow was loaded without an environment: '
            'use backupkit.flows.environment.using()'
        ) from None

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


"""What a look at something tells, and what can be looked at."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from oslo_config import cfg

from backupkit import catalog as catalog_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_

OK = 'ok'
WARNING = 'warning'
PROBLEM = 'problem'


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at; ``state`` is ok, warning or problem."""

    area: str
    name: str
    state: str
    message: str
    cure: str = ''


class Subject(Protocol):
    """What is looked at."""

    @property
    def conf(self) -> cfg.ConfigOpts:
        """The loaded configuration."""

    @property
    def catalog(self) -> catalog_.Catalog:
        """The catalog."""

    @property
    def state_path(self) -> str:
        """The directory of this host's locks and caches."""

    def volume_driver(self, backend: str) -> volume_.VolumeDriver:
        """Return the volume driver of a backend."""

    def target(self, name: str) -> target_.Target:
        """Return a target."""

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

"""All option groups of the core, to register and to list."""

from __future__ import annotations

from oslo_config import cfg

from backupkit.conf import catalog
from backupkit.conf import default

_MODULES = (default, catalog)


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of the core.

    It may be called twice. Options of drivers are registered by the
    loader, in the section that uses the driver.
    """
    for module in _MODULES:
        conf.register_opts(module.OPTS, group=module.GROUP)


def list_opts() -> list[tuple[str | cfg.OptGroup, list[cfg.Opt]]]:
    """List the options of the core for the sample file and the manual."""
    return [(module.GROUP or 'DEFAULT', module.OPTS) for module in _MODULES]

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


"""Drivers as a configuration file makes them, without the file."""

from __future__ import annotations

from collections.abc import Mapping
import tempfile
from typing import Any

from oslo_config import cfg

from backupkit.drivers import loader
from backupkit.drivers import target
from backupkit.drivers import volume


def configuration(
    sections: Mapping[str, Mapping[str, Any]],
) -> cfg.ConfigOpts:
    """Return a configuration with these options in these sections."""
    conf = cfg.ConfigOpts()
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
        for section, options in sections.items():
            file.write(f'[{section}]\n')
            for name, value in options.items():
                # A dollar begins a reference to another option.
                file.write(f'{name} = {str(value).replace("$", "$$")}\n')
        file.flush()
        conf(
            ['--config-file', file.name],
            project='backupkit',
            default_config_dirs=[],
        )
    return conf


def load_volume_driver(
    driver: str, name: str = 'test', **options: Any
) -> volume.VolumeDriver:
    """Load an installed volume driver by its name, with these options."""
    section = {'driver': driver, **options}
    return loader.load_volume_driver(
        configuration({f'backend:{name}': section}), name
    )


def load_target(
    driver: str, name: str = 'test', **options: Any
) -> target.Target:
    """Load an installed target driver by its name, with these options."""
    section = {'driver': driver, **options}
    return loader.load_target(configuration({f'target:{name}': section}), name)

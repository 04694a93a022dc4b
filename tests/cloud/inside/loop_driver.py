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


"""A driver of Cinder for hosts with loop devices and nothing else.

Runs inside cinder-volume. A volume is a sparse file, and an attached one is
a loop device of this very host, told as a ``local`` connection. A snapshot
is a copy of the file.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

from cinder import interface
from cinder.volume import configuration
from cinder.volume import driver
from oslo_config import cfg
from oslo_utils import units

_OPTIONS: list[cfg.Opt] = [
    cfg.StrOpt('loop_files_dir', help='Where the volumes are.')
]
cfg.CONF.register_opts(_OPTIONS, group=configuration.SHARED_CONF_GROUP)


@interface.volumedriver
class LoopDriver(driver.VolumeDriver):  # type: ignore[misc]  # no types
    """Keeps volumes as files, and attaches them as loop devices."""

    VERSION = '1.0'

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(_OPTIONS)

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        return _OPTIONS

    def do_setup(self, context: Any) -> None:
        os.makedirs(self.configuration.loop_files_dir, exist_ok=True)

    def check_for_setup_error(self) -> None:
        _run('losetup', '--version')

    def create_volume(self, volume: Any) -> None:
        with open(self._path(volume), 'wb') as file:
            file.truncate(volume.size * units.Gi)

    def delete_volume(self, volume: Any) -> None:
        self._let_go(volume)
        if os.path.exists(self._path(volume)):
            os.unlink(self._path(volume))

    def create_snapshot(self, snapshot: Any) -> None:
        self._copy(snapshot.volume, self._path(snapshot))

    def delete_snapshot(self, snapshot: Any) -> None:
        self.delete_volume(snapshot)

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        self._copy(snapshot, self._path(volume), volume.size)

    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        self._copy(src_vref, self._path(volume), volume.size)

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Do nothing: loop devices stay while the host is up."""

    def create_export(self, context: Any, volume: Any, connector: Any) -> None:
        """Do nothing: the device comes with the connection."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """Do nothing: the device goes with the connection."""

    def initialize_connection(
        self, volume: Any, connector: Any, **kwargs: Any
    ) -> dict[str, Any]:
        devices = self._devices(volume)
        if not devices:
            devices = [
                _run('losetup', '--find', '--show', self._path(volume)).strip()
            ]
        return {
            'driver_volume_type': 'local',
            'data': {
                'device_path': devices[0],
                # As those of iSCSI have; it opens nothing here.
                'auth_username': 'chap',
                'auth_password': 'chap-secret-2e8b6d41',
            },
        }

    def terminate_connection(
        self, volume: Any, connector: Any, **kwargs: Any
    ) -> None:
        # The attachment that goes is still among those of the volume.
        attached = [a for a in volume.volume_attachment if a.connector]
        if len(attached) <= 1:
            self._let_go(volume)

    def _update_volume_stats(self) -> None:
        self._stats = {
            'volume_backend_name': self.configuration.safe_get(
                'volume_backend_name'
            ),
            'vendor_name': 'tests',
            'driver_version': self.VERSION,
            'storage_protocol': 'local',
            'pools': [
                {
                    'pool_name': 'loop',
                    'total_capacity_gb': 1000,
                    'free_capacity_gb': 1000,
                    'reserved_percentage': 0,
                    'multiattach': True,
                    'thin_provisioning_support': True,
                    'max_over_subscription_ratio': 20.0,
                    'provisioned_capacity_gb': 0,
                }
            ],
        }

    def _path(self, thing: Any) -> str:
        return f'{self.configuration.loop_files_dir}/{thing.name}'

    def _devices(self, thing: Any) -> list[str]:
        found = _run('losetup', '-j', self._path(thing))
        return [line.partition(':')[0] for line in found.splitlines() if line]

    def _let_go(self, thing: Any) -> None:
        for device in self._devices(thing):
            _run('losetup', '-d', device)

    def _copy(self, source: Any, path: str, size: int | None = None) -> None:
        for device in self._devices(source):
            _run('blockdev', '--flushbufs', device)
        _run('cp', '--sparse=always', self._path(source), path)
        if size:
            os.truncate(path, size * units.Gi)


def _run(*command: str) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout

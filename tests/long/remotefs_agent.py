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

"""Cinder's own code on the files of a share, for who asks it in JSON.

Runs in an environment that has Cinder and nothing of ours. Each line of
its input is a command, each line of its output the answer. What Cinder has
in its database is told with the command; all else is its own doing.
"""

import contextlib
import json
import sys
import types
from typing import Any

from cinder import privsep
from cinder import utils
from cinder.volume.drivers import nfs
from oslo_concurrency import processutils


def execute(*argv: str, **options: Any) -> Any:
    """Run a command as the user that we are."""
    options.pop('run_as_root', None)
    options.pop('root_helper', None)
    return processutils.execute(*argv, **options)


class Row(types.SimpleNamespace):
    """An object of Cinder's, which can also be read like a row."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


class Driver(nfs.NfsDriver):  # type: ignore[misc] # it is Any without Cinder
    """Cinder's driver without its service: no database, mounts or Nova."""

    def __init__(self, directory: str, qcow2: bool) -> None:
        self.directory = self.base = directory
        self.configuration = types.SimpleNamespace(
            nfs_qcow2_volumes=qcow2,
            nfs_sparsed_volumes=True,
            nfs_mount_point_base=directory,
            nfs_snapshot_support=True,
            nas_secure_file_operations='false',
            nas_secure_file_permissions='true',
        )
        self.format = 'qcow2' if qcow2 else 'raw'
        self.shares: dict[str, str] = {}
        self._execute_as_root = False
        self._execute = execute

    def _get_mount_point_for_share(self, nfs_share: str) -> str:
        return self.directory

    def _local_volume_dir(self, volume: Any) -> str:
        return self.directory

    def _ensure_shares_mounted(self) -> None:
        pass

    def _find_share(self, volume: Any) -> str:
        return 'share'


class Agent:
    """Does what one line asks for."""

    def __init__(self, directory: str, qcow2: bool) -> None:
        self.driver = Driver(directory, qcow2)

    def volume(self, volume_id: str) -> Any:
        """Return a volume as Cinder's database has it."""
        volume = Row(
            id=volume_id,
            name=f'volume-{volume_id}',
            size=1,
            status='available',
            attach_status='detached',
            provider_location='share',
            encryption_key_id=None,
            volume_type_id=None,
            obj_context=None,
            save=lambda: None,
            obj_as_admin=contextlib.nullcontext,
        )
        snapshots = self.driver._read_info_file(
            self.driver._local_path_volume_info(volume), True
        )
        has_any = set(snapshots) - {'active'}
        volume.admin_metadata = {
            'format': 'qcow2' if has_any else self.driver.format,
            'base_format': self.driver.format,
        }
        return volume

    def snapshot(self, volume_id: str, snapshot_id: str) -> Any:
        """Return a snapshot as Cinder's database has it."""
        return Row(
            id=snapshot_id,
            volume=self.volume(volume_id),
            volume_id=volume_id,
            status='available',
            display_name='',
            encryption_key_id=None,
        )

    def create(self, volume_id: str) -> None:
        """Make a volume of 1 GiB."""
        self.driver._do_create_volume(self.volume(volume_id))

    def take(self, volume_id: str, snapshot_id: str) -> None:
        """Make a snapshot of a volume."""
        self.driver._create_snapshot(self.snapshot(volume_id, snapshot_id))

    def drop(self, volume_id: str, snapshot_id: str) -> None:
        """Delete a snapshot of a volume."""
        self.driver._delete_snapshot(self.snapshot(volume_id, snapshot_id))

    def copy(self, volume_id: str, snapshot_id: str, new_id: str) -> None:
        """Make a volume from a snapshot."""
        self.driver._create_volume_from_snapshot(
            self.volume(new_id), self.snapshot(volume_id, snapshot_id)
        )

    def connect(self, volume_id: str) -> dict[str, str]:
        """Return what a host is told that is to attach the volume."""
        found = self.driver.initialize_connection(self.volume(volume_id), {})
        return {key: found['data'][key] for key in ('name', 'format')}

    def delete(self, volume_id: str) -> None:
        """Remove a volume."""
        delete = nfs.NfsDriver.delete_volume.__wrapped__
        delete(self.driver, self.volume(volume_id))


def answer(value: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(value) + '\n')
    sys.stdout.flush()


def main() -> None:
    """Answer until the input ends."""
    # What it would have root do is done by us, in this process.
    utils.execute = execute
    privsep.sys_admin_pctxt.set_client_mode(False)
    agent = Agent(sys.argv[1], sys.argv[2] == 'qcow2')
    answer('ready')
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        answer(getattr(agent, command)(*arguments))


if __name__ == '__main__':
    main()

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


"""os-brick, which makes devices of what the storage exports.

Imported with the first attachment: it costs a third of a second. Its own
privileged daemon runs commands as root; section ``[privsep_osbrick]`` says
how that is started.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import functools
from typing import Any

from backupkit.drivers import contract
from backupkit import errors

#: What os-brick tells of a device that is kept, for when it is detached.
_KEPT = ('type', 'path', 'scsi_wwn', 'multipath_id')


class Brick:
    """Attaches volumes to this host, as a section says."""

    def __init__(self, section: contract.Section) -> None:
        self._section = section

    def properties(self) -> dict[str, Any]:
        """Tell what the storage must know of this host.

        :raises errors.SourceError: os-brick cannot find it out
        """
        section = self._section
        with _translated('cannot tell the storage about this host'):
            return _properties(
                section.lock_path,
                str(section.my_ip),
                section.host,
                section.use_multipath,
                section.enforce_multipath,
            )

    def connect(self, connection: Mapping[str, Any]) -> dict[str, Any]:
        """Make a device; return what os-brick tells of it.

        :param connection: as Cinder tells it, with its secrets
        :raises errors.SourceError: there comes no device
        """
        kind = connection['driver_volume_type']
        with _translated(f'os-brick cannot attach a volume of kind {kind}'):
            told = self._connector(connection).connect_volume(dict(connection))
        if not isinstance(told.get('path'), str | bytes):
            raise errors.SourceError(
                f'os-brick gives no path for volumes of kind {kind}: they '
                'have no device here'
            )
        kept = {key: told[key] for key in _KEPT if told.get(key)}
        path = kept['path']
        kept['path'] = path.decode() if isinstance(path, bytes) else path
        return kept

    def disconnect(
        self, connection: Mapping[str, Any], device: Mapping[str, Any]
    ) -> None:
        """Remove a device, by force; one that is not there is fine.

        :param device: what :meth:`connect` returned, or nothing
        :raises errors.SourceError: it cannot be removed
        """
        with _translated('os-brick cannot detach the volume'):
            self._connector(connection).disconnect_volume(
                dict(connection), dict(device) or None, force=True
            )

    def _connector(self, connection: Mapping[str, Any]) -> Any:
        brick = _library(self._section.lock_path)
        more = {}
        if self._section.nfs_mount_point_base:
            base = self._section.nfs_mount_point_base
            more['nfs_mount_point_base'] = base
        return brick.InitiatorConnector.factory(
            connection['driver_volume_type'],
            '',
            use_multipath=self._section.use_multipath,
            device_scan_attempts=self._section.device_scan_attempts,
            conn=dict(connection),
            **more,
        )


@functools.cache
def _library(lock_path: str) -> Any:
    """Import os-brick, and give it a place for its locks."""
    from backupkit.mounts import threads  # noqa: F401 - before os-brick

    import os_brick
    from os_brick.initiator import connector
    from oslo_concurrency import lockutils

    lockutils.set_defaults(lock_path)
    os_brick.opts.set_defaults()
    return connector


@functools.cache
def _properties(
    lock_path: str,
    my_ip: str,
    host: str | None,
    multipath: bool,  # noqa: FBT001 - named where it is asked for
    enforce: bool,  # noqa: FBT001 - named where it is asked for
) -> dict[str, Any]:
    found = _library(lock_path).get_connector_properties(
        '', my_ip, multipath, enforce, host=host
    )
    return dict(found)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn whatever os-brick raises into one error of ours.

    Its connectors raise errors of many libraries, and some built-in ones.
    What those of others say may hold a command line, or the connection:
    only their kind is told.
    """
    from backupkit.mounts import threads  # noqa: F401 - before os-brick

    from os_brick import exception
    from oslo_utils import strutils

    try:
        yield
    except errors.BackupkitError:
        raise
    except exception.BrickException as exc:
        text = strutils.mask_password(str(exc))
        raise errors.SourceError(f'{what}: {text}') from None
    except Exception as exc:  # noqa: BLE001 - of any library, see above
        raise errors.SourceError(f'{what}: {type(exc).__name__}') from None

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

"""What drivers can do, as plain facts.

What a class states is the most that a driver can do. ``check()`` and
``open()`` give the effective capabilities of this configuration on this
host: the core, the conformance suites and ``driver list`` use those. A
capability that is effective is tested; one that is not, and is called
all the same, raises :class:`backupkit.errors.NotSupported`.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeCapabilities:
    """What a volume driver can do."""

    #: ``snapshot`` and ``delete_snapshot`` work, and ``attach`` takes one.
    snapshots: bool = False
    #: A snapshot may be made of a volume that is open for writing.
    online_snapshots: bool = False
    #: ``snapshots`` tells which there are.
    list_snapshots: bool = False
    #: ``create_from_snapshot`` makes a volume of one.
    from_snapshot: bool = False
    #: ``extents`` tells holes and zeros instead of "all is data".
    allocation_map: bool = False
    #: ``changed_extents`` tells what changed since a checkpoint, which
    #: ``keep_checkpoint`` and ``drop_checkpoint`` keep and drop.
    changed_extents: bool = False
    #: ``create`` and ``delete`` make and remove volumes.
    create: bool = False
    #: A volume fresh from ``create`` reads as zeros everywhere.
    new_reads_zero: bool = False
    #: ``show`` tells whether a volume is open for writing.
    in_use: bool = False
    #: ``fingerprint`` changes whenever the volume's bytes were changed.
    fingerprint: bool = False
    #: ``clone`` makes a volume that shares what it has with another one.
    clone: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class StoreCapabilities:
    """What an opened store promises beyond the contract."""

    #: ``list`` shows every object whose put returned, and none whose
    #: delete returned.
    list_complete: bool = False
    #: Of two puts of one name at the same time, one raises ObjectExists.
    put_if_absent: bool = False
    #: ``make_file`` and ``open_file`` work: objects are files here.
    files: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class TargetCapabilities:
    """What a target driver can do."""

    #: The target keeps a repository of deduplicated chunks, so that
    #: ``check``, ``gc``, ``stats`` and ``adopt`` work on it.
    repository: bool = False
    #: ``transfer`` is overridden to move less data than the default.
    transfer: bool = False
    #: A backup of a volume on the target's own storage is refused, where
    #: other targets only warn of it.
    separate_storage: bool = False
    #: What the target's store promises.
    store: StoreCapabilities = StoreCapabilities()

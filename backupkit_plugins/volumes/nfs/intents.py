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

"""What is under way on a volume, put down before it is done."""

from __future__ import annotations

import dataclasses

from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import names
from backupkit_plugins.volumes.nfs import records


def begin(
    files: files_.Files, state: chains.State, intent: records.Intent
) -> None:
    """Put down what will be done to a volume.

    Of a volume that Cinder has made we keep from now on what we found.
    """
    record = state.record
    if record is None:
        bottom = state.links[-1]
        # What Cinder has merged into an overlay is no longer as it began.
        is_base = bottom.name == names.file_of(state.volume_id)
        format_ = bottom.format if is_base else 'qcow2'
        record = records.Record(format_, state.generation)
    record = dataclasses.replace(record, intent=intent)
    records.write(files, state.volume_id, record)


def change(
    files: files_.Files, volume_id: str, intent: records.Intent
) -> None:
    """Put down how far it has come."""
    record = records.read(files, volume_id)
    if record is not None:
        record = dataclasses.replace(record, intent=intent)
        records.write(files, volume_id, record)


def end(files: files_.Files, volume_id: str) -> None:
    """Put down that nothing is under way any more."""
    record = records.read(files, volume_id)
    if record is not None:
        record = dataclasses.replace(record, intent=None)
        records.write(files, volume_id, record)

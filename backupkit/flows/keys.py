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


"""Names of the values that pass between the tasks of a flow.

A task asks for a value by naming an argument of its ``execute`` or
``revert`` like this. Everything kept under these names is plain data.
"""

#: The run as the catalog knows it.
RUN_ID = 'run_id'

#: The backup that is made, restored, verified or deleted.
BACKUP_ID = 'backup_id'

#: The volume, within its backend.
VOLUME_ID = 'volume_id'

#: What the target is asked to keep: see :mod:`backupkit.flows.plain`.
REQUEST = 'request'

#: The backup that is copied.
SOURCE_ID = 'source_id'

#: Whether the operator wants it though the source may change meanwhile.
FORCE = 'force'

#: A :class:`backupkit.model.Snapshot`.
SNAPSHOT = 'snapshot'

#: A :class:`backupkit.model.Attachment`.
ATTACHMENT = 'attachment'

#: Whether a checkpoint of the volume was kept.
CHECKPOINT = 'checkpoint'

#: What the driver said of the volume's bytes before they were read.
FINGERPRINT = 'fingerprint'

#: A :class:`backupkit.drivers.target.Prepared`.
PREPARED = 'prepared'

#: Whether the volume stayed as it was while it was read.
CONSISTENT = 'consistent'

#: A :class:`backupkit.model.BackupSummary`.
SUMMARY = 'summary'

#: Plain size of a backup.
SIZE_BYTES = 'size_bytes'

#: What a new volume is to have besides bytes and size.
PROPERTIES = 'properties'

#: Whether every byte is verified.
FULL = 'full'

#: Which share of the bytes is verified; None: as FULL says.
SHARE = 'share'

#: A :class:`backupkit.drivers.target.Report`.
REPORT = 'report'

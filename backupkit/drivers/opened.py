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

"""A kept backup, opened to be read by ``Target.open_backup``."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from backupkit.copy import interface
from backupkit import model


@dataclasses.dataclass(frozen=True, slots=True)
class OpenedBackup:
    """A committed backup and the reader of its bytes.

    :param reader: asked for whole blocks of ``block_bytes`` at their
        places, the last one shorter; checks each before it hands it out.
        It is the lender's to close.
    """

    summary: model.BackupSummary
    reader: interface.Reader
    block_bytes: int
    volume_format: str
    volume_properties: Mapping[str, str]

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


"""Values of the contract as plain data, and back.

What tasks hand to each other is kept in a database, so that another
process can go on with the flow: it is dictionaries, lists, texts and
numbers, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from backupkit.drivers import target as target_
from backupkit import model


def from_request(request: model.BackupRequest) -> dict[str, Any]:
    """Return the plain form of a request."""
    volume = {
        field.name: getattr(request.volume, field.name)
        for field in dataclasses.fields(request.volume)
    }
    volume['properties'] = dict(request.volume.properties)
    plain = {
        field.name: getattr(request, field.name)
        for field in dataclasses.fields(request)
    }
    return {**plain, 'volume': volume}


def to_request(plain: Mapping[str, Any]) -> model.BackupRequest:
    """Rebuild a request from its plain form."""
    volume = model.Volume(**plain['volume'])
    return model.BackupRequest(**{**plain, 'volume': volume})


def from_report(report: target_.Report) -> dict[str, Any]:
    """Return the plain form of a report."""
    return {
        'objects': report.objects,
        'chunks': report.chunks,
        'bytes_read': report.bytes_read,
        'findings': [
            {
                'name': finding.name,
                'problem': finding.problem,
                'backup_ids': list(finding.backup_ids),
            }
            for finding in report.findings
        ],
    }


def to_report(plain: Mapping[str, Any]) -> target_.Report:
    """Rebuild a report from its plain form."""
    findings = tuple(
        target_.Finding(
            finding['name'],
            finding['problem'],
            tuple(finding['backup_ids']),
        )
        for finding in plain['findings']
    )
    return target_.Report(**{**plain, 'findings': findings})

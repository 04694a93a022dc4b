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


"""What is well and what is not: configuration, places, leftovers.

Looking changes nothing. Every diagnosis that is not *ok* names a cure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backupkit.doctor import diagnosis
from backupkit.doctor import host
from backupkit.doctor import leftovers
from backupkit.doctor import places
from backupkit.doctor import privilege
from backupkit import errors

Diagnosis = diagnosis.Diagnosis
Subject = diagnosis.Subject
OK = diagnosis.OK
WARNING = diagnosis.WARNING
PROBLEM = diagnosis.PROBLEM

_Check = Callable[[Subject], Iterator[Diagnosis]]


def examine(subject: Subject) -> list[Diagnosis]:
    """Look at everything, and go on after what cannot be looked at."""
    checks: tuple[tuple[str, _Check], ...] = (
        ('software', host.software),
        ('configuration', host.configuration),
        ('directory', host.directories),
        ('catalog', places.catalog),
        ('backend', places.backends),
        ('target', places.targets),
        ('storage', places.storage),
        ('privilege', privilege.helper),
        ('run', leftovers.runs),
        ('leftover', leftovers.leftovers),
        ('leftover', leftovers.begun),
        ('volume', leftovers.volumes),
        ('backup', leftovers.backups),
    )
    found: list[Diagnosis] = []
    for area, check in checks:
        try:
            found += check(subject)
        except errors.BackupkitError as exc:
            found.append(Diagnosis(area, '', PROBLEM, str(exc), _cure(exc)))
    return found


def _cure(exc: errors.BackupkitError) -> str:
    if isinstance(exc, errors.ConfigurationError):
        return 'mend the configuration: backupkit config validate'
    if isinstance(exc, errors.CatalogError):
        return 'mend the catalog first'
    return 'see the message'

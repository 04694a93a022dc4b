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


"""The catalog, the backends and the targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses

from backupkit.doctor import diagnosis
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import faults


def catalog(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell whether the database is sound."""
    problems = subject.catalog.check()
    for problem in problems:
        yield diagnosis.Diagnosis(
            'catalog',
            '',
            diagnosis.PROBLEM,
            problem,
            'move the database away, then: backupkit catalog rebuild',
        )
    if not problems:
        rows = subject.catalog.backups()
        yield diagnosis.Diagnosis(
            'catalog', '', diagnosis.OK, f'{len(rows)} backups recorded'
        )


def backends(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell what each backend can do."""
    for name in subject.conf.enabled_backends:
        yield from _checked('backend', name, subject.volume_driver)


def targets(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell what each target can do."""
    for name in subject.conf.enabled_targets:
        yield from _checked('target', name, subject.target)


def _checked(
    area: str,
    name: str,
    load: Callable[[str], volume_.VolumeDriver | target_.Target],
) -> Iterator[diagnosis.Diagnosis]:
    try:
        driver = load(name)
        with faults.attributed(driver):
            remarks = driver.remarks()
            able = driver.check()
    except errors.BackupkitError as exc:
        cure = f'mend the section [{area}:{name}] or the place it names'
        yield diagnosis.Diagnosis(
            area, name, diagnosis.PROBLEM, str(exc), cure
        )
    else:
        yield diagnosis.Diagnosis(
            area, name, diagnosis.OK, f'can do: {_facts(able)}'
        )
        for remark in remarks:
            state = diagnosis.WARNING if remark.cure else diagnosis.OK
            yield diagnosis.Diagnosis(
                area, name, state, remark.text, remark.cure
            )


def _facts(able: object) -> str:
    if not dataclasses.is_dataclass(able):
        return 'unknown'
    facts = [
        field.name.replace('_', ' ')
        for field in dataclasses.fields(able)
        if getattr(able, field.name) is True
    ]
    return ', '.join(facts) or 'what all can'


def storage(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell which backends and targets would be lost together."""
    for target in subject.conf.enabled_targets:
        for backend in subject.conf.enabled_backends:
            try:
                keeper = subject.target(target)
                with faults.attributed(keeper):
                    theirs = keeper.storage_identity()
                driver = subject.volume_driver(backend)
                with faults.attributed(driver):
                    ours = driver.storage_identity()
            except errors.BackupkitError:
                # The checks of the two have told what is wrong.
                continue
            if ours == theirs and backend != keeper.kept_on:
                strict = keeper.capabilities.separate_storage
                yield diagnosis.Diagnosis(
                    'storage',
                    f'{backend}, {target}',
                    diagnosis.PROBLEM if strict else diagnosis.WARNING,
                    f'backend {backend} and target {target} lie on the same '
                    'storage: what destroys the volumes destroys their '
                    'backups',
                    'put the target on another storage',
                )

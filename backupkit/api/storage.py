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

"""Which storage volumes and their backups lie on, and what that means."""

from __future__ import annotations

import logging

from backupkit.api import session as session_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import faults

LOG = logging.getLogger(__name__)


def judge(
    session: session_.Session,
    driver: volume_.VolumeDriver,
    target: target_.Target,
) -> None:
    """Refuse or warn of backups on the storage of their volumes.

    A target that needs a storage of its own is refused for what it would
    protect: the volume that is asked for, and those of every other backend
    that is enabled.

    :raises errors.ConfigurationError: it lies on the same storage
    """
    strict = target.capabilities.separate_storage
    if _same(driver, target):
        if strict:
            raise _refusal(driver.name, target)
        LOG.warning(
            'backend %s and target %s lie on the same storage: what '
            'destroys the volume destroys its backups',
            driver.name,
            target.name,
        )
    if strict:
        _judge_others(session, driver, target)


def _judge_others(
    session: session_.Session,
    driver: volume_.VolumeDriver,
    target: target_.Target,
) -> None:
    for name in session.conf.enabled_backends:
        if name in (driver.name, target.kept_on):
            continue
        try:
            same = _same(session.volume_driver(name), target)
        except errors.BackupkitError as exc:
            # It is none of this backup's business what is wrong there.
            LOG.debug('the storage of backend %s is unknown: %s', name, exc)
            continue
        if same:
            raise _refusal(name, target)


def _same(driver: volume_.VolumeDriver, target: target_.Target) -> bool:
    with faults.attributed(driver):
        ours = driver.storage_identity()
    with faults.attributed(target):
        theirs = target.storage_identity()
    return ours == theirs


def _refusal(
    backend: str, target: target_.Target
) -> errors.ConfigurationError:
    return errors.ConfigurationError(
        f'target {target.name} lies on the storage of backend {backend}: '
        'what destroys the volumes destroys their backups; put it on another '
        'storage, or tell pools that fail apart by their storage_pool'
    )

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


"""What all tasks have in common."""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import ClassVar

from taskflow import task

from backupkit.drivers import contract
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import ledger as ledger_

LOG = logging.getLogger(__name__)


class Step(task.Task):  # type: ignore[misc]  # TaskFlow has no types
    """A task with a name of its own, that begins only if it still may."""

    #: How the task is called in diagrams, progress and fail reasons.
    step_name: ClassVar[str] = ''

    #: The name of the value that it provides, if any.
    gives: ClassVar[str | None] = None

    #: Whether it heeds that the run was asked to stop.
    stoppable: ClassVar[bool] = True

    def __init__(self, environment: environment_.Environment) -> None:
        super().__init__(name=self.step_name, provides=self.gives)
        self._environment = environment

    def pre_execute(self) -> None:
        """Report the step, unless the run was asked to stop.

        :raises errors.Suspended: keep everything and stop
        :raises errors.Cancelled: undo everything and stop
        """
        if self.stoppable:
            self._environment.control.check()
        self._environment.control.start(self.step_name)
        LOG.info('step %s', self.step_name)

    def undo(
        self, driver: contract.Driver, what: str, action: Callable[[], None]
    ) -> bool:
        """Do ``action``, or tell that what it removes is left behind.

        :returns: whether it succeeded
        """
        try:
            with faults.attributed(driver):
                action()
        except errors.BackupkitError as exc:
            LOG.warning(
                'cannot %s: %s; "backupkit doctor --clear" tries it again',
                what,
                exc,
            )
            return False
        return True


class VolumeStep(Step):
    """A task that calls a volume driver and keeps the ledger."""

    def __init__(
        self,
        environment: environment_.Environment,
        driver: volume_.VolumeDriver,
    ) -> None:
        super().__init__(environment)
        self._driver = driver
        self._ledger = ledger_.Ledger(environment.catalog)


class TargetStep(Step):
    """A task that calls a target."""

    def __init__(
        self,
        environment: environment_.Environment,
        target: target_.Target,
    ) -> None:
        super().__init__(environment)
        self._target = target

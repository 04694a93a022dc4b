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


"""What a program calls: all that backupkit does, as one object.

::

    from backupkit import api

    with api.connect() as kit:
        row = kit.create_backup('local:db01.img')
        kit.verify_backup(row.backup_id, full=True)

Nothing here prints or reads a terminal. A long call takes a
:class:`backupkit.copy.control.Control`, by which another thread or a
signal handler may watch it, cancel it or suspend it. What goes wrong is an
error of :mod:`backupkit.errors`; a run that was suspended leaves by
:class:`backupkit.errors.Suspended`.

What a call needs is imported when it is made: listing backups loads
neither drivers nor TaskFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import types
from typing import TYPE_CHECKING, Any, Self

from oslo_config import cfg

from backupkit.api import keeping
from backupkit.api import placing
from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit import conf as conf_
from backupkit.copy import control as control_

if TYPE_CHECKING:
    from backupkit.api import results
    from backupkit import doctor as doctor_

Control = control_.Control


def connect(config_files: Sequence[str] | None = None) -> Backupkit:
    """Read the configuration and return what works with it.

    :param config_files: read instead of those of the system and user; with
        none anywhere the embedded configuration works
    :raises errors.ConfigurationError: a file cannot be read, or holds what
        is unknown or wrong
    """
    kit = Backupkit(conf_.load(config_files))
    kit.require_valid_config()
    return kit


class Backupkit(keeping.Keeping, placing.Placing):
    """Makes, restores, verifies and deletes backups.

    Used as a context manager, or closed by :meth:`close`. Volumes are named
    ``backend:volume_id``; a backup by its id or the first eight characters
    of it or more. A target that is not named is the default one.

    :param conf: with the options of backupkit registered and files read:
        see :func:`backupkit.conf.load`; it is not judged here
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(session_.Session(conf))
        self.conf = conf

    def close(self) -> None:
        """Let go of the catalog."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()

    # Backups.

    def create_backup(  # noqa: PLR0913 - wishes, each by its name
        self,
        volume: str,
        *,
        target: str | None = None,
        name: str = '',
        full: bool = False,
        force: bool = False,
        mode: str = 'auto',
        control: control_.Control | None = None,
    ) -> catalog_.BackupRow:
        """Make a backup of a volume and return its record.

        Where an earlier good backup of the volume is on the target, only
        what changed since is read, as far as the backend can tell, and only
        what is new is stored.

        :param full: read everything
        :param force: also a volume that is open for writing, or whose
            restore has not finished
        :param mode: ``hot``, ``cold`` or ``auto``; see
            :class:`backupkit.api.modes.Mode`
        :raises errors.InUse: the volume is open for writing
        :raises errors.Conflict: another run is at work on the volume
        :raises errors.Cancelled: it was, and everything was undone
        """
        from backupkit.api import backups
        from backupkit.api import modes

        wish = backups.Wish(target, name, full, force, modes.Mode(mode))
        return backups.create(
            self._session, volume, wish, control or Control()
        )

    def plan_backup(
        self,
        volume: str,
        *,
        target: str | None = None,
        full: bool = False,
        force: bool = False,
        mode: str = 'auto',
    ) -> results.BackupPlan:
        """Tell how a backup would be made, and make none."""
        from backupkit.api import backups
        from backupkit.api import modes

        wish = backups.Wish(target, '', full, force, modes.Mode(mode))
        return backups.plan(self._session, volume, wish)

    # Runs.

    def list_runs(self, *, everything: bool = False) -> list[catalog_.Run]:
        """List the runs that have not ended, or all that are recorded."""
        return self._session.catalog.runs(live_only=not everything)

    def show_run(self, run: str) -> catalog_.Run:
        """Return a run by its id or number."""
        from backupkit.api import aftermath

        return aftermath.find(self._session, run)

    def run_process(self, run: catalog_.Run) -> str:
        """Tell what is known of the process that works on a run.

        :returns: ``alive``; ``gone``: the run can be resumed or aborted;
            ``unknown``, mostly because it is on another host; or nothing,
            because the run has ended
        """
        from backupkit.catalog import liveness

        state_path = self._session.state_path
        if not run.live:
            return ''
        if liveness.is_alive(state_path, run):
            return 'alive'
        suspended = run.state == catalog_.RunState.SUSPENDED
        if suspended or liveness.is_dead(state_path, run):
            return 'gone'
        return 'unknown'

    def resume_run(
        self, run: str, *, control: control_.Control | None = None
    ) -> catalog_.Run:
        """Go on with a run by its id or number, where it was left.

        Its process has died, its host was started anew, or it was
        suspended. Where volume, snapshot, repository or drivers are not
        those any more with which it was begun, it is undone.

        :raises errors.Conflict: it has ended, or somebody works on it, or
            it does not fit any more
        """
        from backupkit.api import aftermath

        return aftermath.resume(self._session, run, control or Control())

    def abort_run(self, run: str) -> catalog_.Run:
        """Abort a run by its id or number, and undo what it made.

        A process that still works on it finds out at its end, and undoes
        the rest.

        :raises errors.Conflict: it has ended
        """
        from backupkit.api import aftermath

        return aftermath.abort(self._session, run)

    # Drivers, configuration and health.

    def list_drivers(self) -> list[dict[str, Any]]:
        """Describe every installed driver, those that fail included."""
        from backupkit.drivers import loader

        return [
            dataclasses.asdict(listing) for listing in loader.list_drivers()
        ]

    def validate_target(
        self,
        target: str | None = None,
        *,
        control: control_.Control | None = None,
    ) -> list[tuple[str, str, str]]:
        """Run the conformance suite against a target.

        Works in a place of its own there, and leaves nothing.

        :returns: (test, outcome, message); outcome is ``ok``, ``failed``
            or ``skipped``
        """
        from backupkit.api import validation

        return validation.validate(self._session, target, control or Control())

    def validate_config(self) -> list[conf_.Problem]:
        """Tell what is wrong in the configuration."""
        from backupkit.drivers import loader

        return conf_.problems(self.conf, loader.driver_options)

    def require_valid_config(self) -> None:
        """Refuse to go on with a configuration that has errors.

        :raises errors.ConfigurationError: names the first of them
        """
        from backupkit.drivers import loader

        conf_.check(self.conf, loader.driver_options)

    def doctor(self, *, clear: bool = False) -> list[doctor_.Diagnosis]:
        """Look at everything, and tell what is well and what is not.

        :param clear: first undo what dead runs left, and sweep
        """
        from backupkit.api import health

        return health.examine(self._session, clear=clear)

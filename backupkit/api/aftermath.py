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


"""Runs of other processes: found dead, gone on with, and cleared away."""

from __future__ import annotations

from collections.abc import Callable
import logging

from backupkit.api import runs
from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit.catalog import liveness
from backupkit.copy import control as control_
from backupkit import errors
from backupkit.flows import environment as environment_
from backupkit.flows import persistence
from backupkit.flows import recovery
from backupkit import model

LOG = logging.getLogger(__name__)


def dead(session: session_.Session) -> list[catalog_.Run]:
    """Return the live runs whose process is proved to be gone.

    A suspended run has no process either, but is kept on purpose.
    """
    return [
        run
        for run in session.catalog.runs(live_only=True)
        if run.state != catalog_.RunState.SUSPENDED
        and liveness.is_dead(session.state_path, run)
    ]


def clear_dead(
    session: session_.Session,
    environment: environment_.Environment,
    *,
    backup_id: str | None = None,
    resumable: bool = False,
) -> list[catalog_.Run]:
    """Undo what dead runs left, before a new run meets it.

    All of them, or only those of a backup where one is given.

    :param resumable: also those that could be gone on with
    :returns: the runs that were ended
    :raises errors.BackupkitError: one of the backup could not be
    """
    everything = backup_id is None
    ended: list[catalog_.Run] = []
    found = dead(session)
    if not found:
        return ended
    # Imported here: few commands meet a run that was left.
    from backupkit.api import resumes

    for run in found:
        touched = (run.backup_id, run.source_id)
        named = backup_id is not None and backup_id in touched
        if not (everything or named):
            continue
        if not resumable and resumes.is_resumable(session, run):
            continue
        LOG.warning(
            'run %d on %s died: undoing what it left', run.number, run.host
        )
        try:
            end(session, environment, run, f'its process died on {run.host}')
        except errors.BackupkitError as exc:
            # In the way of nobody else it can wait.
            if not everything:
                raise
            LOG.warning('run %d could not be ended: %s', run.number, exc)
        else:
            ended.append(run)
    return ended


def tidy(
    session: session_.Session,
    environment: environment_.Environment,
    volume: model.VolumeRef,
    *,
    restoring: str | None = None,
) -> list[catalog_.Run]:
    """Go on with what other processes left of a volume, or else undo it.

    :param restoring: a backup with which the volume will be overwritten:
        whoever was restoring another one to it is not gone on with
    :returns: the runs that came to a good end
    :raises errors.BackupkitError: one could not be ended
    """
    left = [
        run
        for run in session.catalog.runs(live_only=True)
        if model.VolumeRef(run.backend, run.volume_id) == volume
    ]
    if not left:
        return []
    # Imported here: few commands meet a run that was left.
    from backupkit.api import resumes

    def wanted(run: catalog_.Run) -> bool:
        return (
            restoring is None
            or run.kind != catalog_.RunKind.RESTORE
            or run.backup_id == restoring
        )

    done = []
    for run in left:
        if not resumes.is_left(session, run):
            continue
        if wanted(run) and resumes.is_resumable(session, run):
            done += _gone_on(session, environment, run)
            continue
        LOG.warning('run %d on %s is undone', run.number, run.host)
        end(session, environment, run, 'another run came in its place')
    return done


def _gone_on(
    session: session_.Session,
    environment: environment_.Environment,
    run: catalog_.Run,
) -> list[catalog_.Run]:
    """Go on with a run; one that fails and ends is in nobody's way."""
    from backupkit.api import resumes

    try:
        return [resumes.go_on(session, environment, run)]
    except (errors.Suspended, errors.Cancelled):
        raise
    except errors.BackupkitError as exc:
        if session.catalog.run(run.run_id).live:
            raise
        LOG.warning('run %d failed: %s', run.number, exc)
        return []


def go_on(
    session: session_.Session,
    environment: environment_.Environment,
    wanted: Callable[[catalog_.Run], bool],
) -> list[catalog_.Run]:
    """Go on with those runs of other processes that are wanted.

    :returns: those that came to a good end
    """
    from backupkit.api import resumes

    done = []
    for run in session.catalog.runs(live_only=True):
        if (
            wanted(run)
            and resumes.is_left(session, run)
            and resumes.is_resumable(session, run)
        ):
            done += _gone_on(session, environment, run)
    return done


def resume(
    session: session_.Session, text: str, control: control_.Control
) -> catalog_.Run:
    """Go on with a run of another process.

    :raises errors.Conflict: it has ended, or somebody works on it, or it
        does not fit any more what it was begun with
    """
    from backupkit.api import resumes

    run = find(session, text)
    resumes.require(session, run)
    return resumes.go_on(session, session.environment(control), run)


def sweep(session: session_.Session) -> None:
    """Remove what helps only live runs, and is left of ended ones.

    A process that was killed when its run was done could not do so.
    """
    catalog = session.catalog
    for run_id in persistence.kept(catalog):
        if _has_gone(session, run_id):
            backend = persistence.open_backend(catalog)
            persistence.forget(backend, run_id)
    # A lock that is held stays, also of a run that is not registered yet.
    live = {run.run_id for run in catalog.runs(live_only=True)}
    liveness.sweep(session.state_path, live)


def _has_gone(session: session_.Session, run_id: str) -> bool:
    """Tell whether a run of this host has ended, and its process too.

    The last steps of a flow come behind the end of its run.
    """
    try:
        run = session.catalog.run(run_id)
    except errors.NotFound:
        return True
    here = liveness.this_process().host
    return (
        not run.live
        and run.host == here
        and not liveness.is_alive(session.state_path, run)
    )


def end(
    session: session_.Session,
    environment: environment_.Environment,
    run: catalog_.Run,
    reason: str,
) -> None:
    """Settle a run of another process, and drop what is kept of it."""
    recovery.settle(environment, run, reason, gone=True)
    runs.forget(environment, run)
    liveness.discard(session.state_path, run.run_id)


def find(session: session_.Session, text: str) -> catalog_.Run:
    """Return a run by its id or its number.

    :raises errors.NotFound: there is none
    """
    if not text.isdecimal():
        return session.catalog.run(text)
    for run in session.catalog.runs():
        if run.number == int(text):
            return run
    raise errors.NotFound(f'there is no run {text}')


def abort(session: session_.Session, text: str) -> catalog_.Run:
    """Abort a run, wherever it stands.

    Where its process is proved to be alive, temporary things are left to
    it: it finds out at its commit at the latest, and undoes them itself.
    Where nothing is known of it, the operator's word is taken for it that
    it is gone; it could not commit even if it were not.

    :raises errors.Conflict: it has ended already
    """
    run = find(session, text)
    if not run.live:
        raise errors.Conflict(f'run {run.number} has ended: it is {run.state}')
    environment = session.environment()
    if liveness.is_alive(session.state_path, run):
        recovery.stop(environment, run)
    else:
        end(session, environment, run, 'aborted by the operator')
    return session.catalog.run(run.run_id)

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

"""Going on with a run that another process has left."""

from __future__ import annotations

import dataclasses
import logging

from backupkit.api import agreement
from backupkit.api import runs
from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit.catalog import liveness
from backupkit import errors
from backupkit.flows import environment as environment_
from backupkit.flows import persistence

LOG = logging.getLogger(__name__)


def is_left(session: session_.Session, run: catalog_.Run) -> bool:
    """Tell whether it is sure that no process works on a live run.

    It was suspended, or its process is proved to be gone.
    """
    return run.state == catalog_.RunState.SUSPENDED or liveness.is_dead(
        session.state_path, run
    )


def is_resumable(session: session_.Session, run: catalog_.Run) -> bool:
    """Tell whether a run that was left can be gone on with, by the way.

    Those that have made nothing worth it are just begun anew.
    """
    return (
        run.kind in runs.KEEPING
        and run.state != catalog_.RunState.ABORTED
        and _is_kept(session, run)
    )


def _is_kept(session: session_.Session, run: catalog_.Run) -> bool:
    backend = persistence.open_backend(session.catalog)
    try:
        with persistence.reporting(session.catalog):
            persistence.flow_of(backend, run.run_id)
    except errors.NotFound:
        return False
    return True


def require(session: session_.Session, run: catalog_.Run) -> None:
    """Refuse a run that cannot be resumed, or not here.

    :raises errors.Conflict: it says why, and what to do
    """
    number = run.number
    if not run.live:
        raise errors.Conflict(f'run {number} has ended: it is {run.state}')
    if run.state == catalog_.RunState.ABORTED:
        raise errors.Conflict(
            f'run {number} is being aborted: to finish that: '
            f'backupkit run abort {number}'
        )
    if not is_left(session, run):
        alive = liveness.is_alive(session.state_path, run)
        raise errors.Conflict(
            f'run {number} is at work: process {run.pid} on host {run.host}'
            if alive
            else f'whether process {run.pid} on host {run.host} still works '
            f'on run {number} cannot be told here: resume it on that host, '
            f'or, once it is gone for good, backupkit run abort {number}'
        )
    if not _is_kept(session, run):
        raise errors.Conflict(
            f'nothing is kept of run {number} ({run.kind}) that could be '
            f'gone on with: backupkit run abort {number}, and begin anew'
        )


def go_on(
    session: session_.Session,
    environment: environment_.Environment,
    run: catalog_.Run,
) -> catalog_.Run:
    """Go on with a run that was left, to its end, and return it.

    Where it does not fit any more what it was begun with, it is undone.

    :raises errors.Conflict: it does not, or another process was quicker
    :raises errors.Suspended: it was suspended again
    """
    # Without its drivers it could not even be undone: so it stays.
    agreement.load(session, run)
    environment = dataclasses.replace(environment, resumed=True)
    LOG.warning('run %d is resumed', run.number)
    with runs.taken_over(session, environment, run) as claimed:
        agreement.check(session, claimed)
        runs.go_on(environment, claimed)
    return session.catalog.run(run.run_id)

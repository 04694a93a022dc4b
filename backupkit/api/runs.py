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


"""Runs: registered while they work, and ended whatever becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import logging
from typing import Any
import uuid

from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit.catalog import liveness
from backupkit import errors
from backupkit.flows import engine
from backupkit.flows import environment as environment_
from backupkit.flows import persistence
from backupkit.flows import recovery

LOG = logging.getLogger(__name__)

#: Runs that keep what they have made when they are suspended. The others
#: have made nothing that is worth it: they end, and are begun anew.
KEEPING = catalog_.WRITERS | {catalog_.RunKind.RESTORE}


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What a run is going to do, and to what."""

    kind: catalog_.RunKind
    backup_id: str | None = None
    backend: str = ''
    volume_id: str = ''
    target: str = ''
    repository_id: str = ''
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    source_id: str | None = None
    source_repository_id: str = ''


class _FlowFailed(Exception):
    """Carries the outcome of a flow from where it ran to where it ends."""

    def __init__(self, outcome: engine.Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@contextlib.contextmanager
def registered(
    session: session_.Session,
    environment: environment_.Environment,
    job: Job,
) -> Iterator[catalog_.Run]:
    """Register a run, which is live until the block is left.

    Its lock is held from before it is registered, so that nobody can take
    it for dead. Leaving by an error undoes what the run has made; leaving
    by :class:`errors.Suspended` keeps it.

    :raises errors.Conflict: another run holds what this one needs
    """
    catalog = environment.catalog
    run_id = str(uuid.uuid4())
    fields = {
        field.name: getattr(job, field.name)
        for field in dataclasses.fields(job)
    }
    with _locked(session, run_id):
        run = catalog.register_run(run_id=run_id, **fields)
        with _ending(environment, run):
            yield run


@contextlib.contextmanager
def taken_over(
    session: session_.Session,
    environment: environment_.Environment,
    seen: catalog_.Run,
) -> Iterator[catalog_.Run]:
    """Go on with a run that no process works on; see :func:`registered`.

    :param seen: the run as it was when that was proved
    :raises errors.Conflict: another process has taken it over
    """
    with _locked(session, seen.run_id):
        run = environment.catalog.claim_run(seen)
        with _ending(environment, run):
            yield run


@contextlib.contextmanager
def _ending(
    environment: environment_.Environment, run: catalog_.Run
) -> Iterator[None]:
    """Finish the run when the block is left, or suspend it."""
    catalog = environment.catalog
    try:
        with _reverting(environment, run):
            yield
        if catalog.run(run.run_id).live:
            catalog.finish_run(run.run_id, catalog_.RunState.DONE)
    except errors.Suspended as exc:
        if run.kind not in KEEPING:
            raise
        with contextlib.suppress(errors.BackupkitError):
            catalog.suspend_run(run.run_id, str(exc))
        raise errors.Suspended(
            f'{exc}; run {run.number} keeps what it has made: '
            f'"backupkit run resume {run.number}" goes on with it, '
            f'"backupkit run abort {run.number}" undoes it'
        ) from exc


@contextlib.contextmanager
def _locked(session: session_.Session, run_id: str) -> Iterator[None]:
    """Hold the lock of a run; its file stays while it can prove a death."""
    try:
        with liveness.hold(session.state_path, run_id):
            yield
    finally:
        with contextlib.suppress(errors.BackupkitError):
            if not _is_live(session, run_id):
                liveness.discard(session.state_path, run_id)


def _is_live(session: session_.Session, run_id: str) -> bool:
    try:
        return session.catalog.run(run_id).live
    except errors.NotFound:
        return False


def work(
    environment: environment_.Environment,
    run: catalog_.Run,
    flow: engine.Work,
) -> Mapping[str, Any]:
    """Run the flow of a run, inside its :func:`registered` block.

    :returns: all values that its tasks provided
    """
    return _checked(engine.run(environment, run.run_id, flow))


def go_on(
    environment: environment_.Environment, run: catalog_.Run
) -> Mapping[str, Any]:
    """Go on with the flow of a run, inside its :func:`taken_over` block.

    :returns: all values that its tasks provided
    """
    return _checked(engine.go_on(environment, run.run_id))


def _checked(outcome: engine.Outcome) -> Mapping[str, Any]:
    if outcome.error is not None:
        raise _FlowFailed(outcome) from outcome.error
    return outcome.results


@contextlib.contextmanager
def _reverting(
    environment: environment_.Environment, run: catalog_.Run
) -> Iterator[None]:
    """End the run properly where an error leaves the block."""
    try:
        yield
    except _FlowFailed as failed:
        cause = failed.outcome.error
        error = _end(environment, run, failed.outcome)
        if error is not None and cause is not None:
            raise error from cause.__cause__
    except BaseException as exc:
        # Also a KeyboardInterrupt, where nobody handles the signal.
        if isinstance(exc, errors.Suspended) and run.kind in KEEPING:
            raise
        reason = str(exc) or f'interrupted by {type(exc).__name__}'
        _settle(environment, run, reason)
        with contextlib.suppress(errors.CatalogError):
            forget(environment, run)
        raise


def _end(
    environment: environment_.Environment,
    run: catalog_.Run,
    outcome: engine.Outcome,
) -> errors.BackupkitError | None:
    """Record how a failed flow ended; return its error.

    None where the backup turns out to be committed: the error came after
    the deed.
    """
    catalog = environment.catalog
    error = outcome.error
    cancelled = isinstance(outcome.error, errors.Cancelled)
    reason = outcome.reason
    if cancelled:
        reason = f'cancelled in step {outcome.failed_step}'
    commit = run.kind in catalog_.WRITERS and outcome.failed_step == 'record'
    try:
        # Where the commit was begun, what is in the target decides: that
        # must have been asked.
        if commit or not outcome.reverted:
            recovery.settle(environment, catalog.run(run.run_id), reason)
        now = catalog.run(run.run_id)
        if now.state == catalog_.RunState.DONE:
            LOG.warning('run %d is done all the same: %s', run.number, reason)
            return None
        if now.live:
            reason += _left_behind(catalog, run.run_id)
            if cancelled:
                now = catalog.abort_run(run.run_id)
            aborted = now.state == catalog_.RunState.ABORTED
            state = catalog_.RunState.FAILED
            catalog.finish_run(
                run.run_id,
                catalog_.RunState.ABORTED if aborted else state,
                reason,
            )
    except errors.BackupkitError as exc:
        if commit and error is not None:
            error = _undecided(run, error)
            reason = dataclasses.replace(outcome, error=error).reason
        _unsettled(environment, run, reason, exc)
    return error


def _undecided(
    run: catalog_.Run, error: errors.BackupkitError
) -> errors.BackupkitError:
    """Return the error of a backup that may exist, or not."""
    return type(error)(
        f'{error}; whether backup {run.backup_id} exists is not known: once '
        'its target and the catalog work again, "backupkit doctor --clear" '
        'finds it out'
    )


def _settle(
    environment: environment_.Environment, run: catalog_.Run, reason: str
) -> None:
    try:
        now = environment.catalog.run(run.run_id)
        recovery.settle(environment, now, reason)
    except errors.BackupkitError as exc:
        _unsettled(environment, run, reason, exc)


def _unsettled(
    environment: environment_.Environment,
    run: catalog_.Run,
    reason: str,
    exc: errors.BackupkitError,
) -> None:
    """Tell that a run could not be ended: it stays live until cleared."""
    LOG.warning(
        'run %d could not be ended: %s; once that is mended: '
        'backupkit doctor --clear',
        run.number,
        exc,
    )
    if run.kind in catalog_.WRITERS and run.backup_id:
        with contextlib.suppress(errors.BackupkitError):
            environment.catalog.update_backup(
                run.backup_id, fail_reason=reason
            )


def _left_behind(catalog: catalog_.Catalog, run_id: str) -> str:
    left = [
        f'{entry.kind} {entry.name}'
        for entry in catalog.ledger(run_id)
        if not entry.retained
    ]
    if not left:
        return ''
    return f'; left behind: {", ".join(left)} (backupkit doctor --clear)'


def forget(environment: environment_.Environment, run: catalog_.Run) -> None:
    """Remove what is kept of a flow that ended before its end."""
    backend = persistence.open_backend(environment.catalog)
    persistence.forget(backend, run.run_id)

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


"""Runs a flow, and tells how it ended.

TaskFlow's serial engine keeps every step in the catalog's database. An
:class:`Exception` out of a task makes it revert what was done. Anything
else, :class:`backupkit.errors.Suspended` above all, passes through it as
if the process had been killed there: nothing is reverted, and the flow
can be gone on with from what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import logging
from typing import Any

from backupkit import catalog as catalog_
from backupkit import errors
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import persistence
from backupkit.flows import rewinding

from taskflow import engines  # isort: skip
from taskflow import exceptions
from taskflow.patterns import linear_flow
from taskflow.persistence import models
from taskflow import states

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """A flow and what it is given: all of it plain data.

    :param factory: a function of a module, so that it has a name
    :param arguments: of the factory
    :param store: the values that the flow's tasks require
    """

    factory: Callable[..., linear_flow.Flow]
    arguments: Mapping[str, Any]
    store: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How a flow ended.

    ``error`` is None where it succeeded, else why ``failed_step`` failed;
    ``reverted`` tells whether every step was reverted then.
    """

    results: Mapping[str, Any]
    error: errors.BackupkitError | None = None
    failed_step: str = ''
    reverted: bool = False

    @property
    def reason(self) -> str:
        """What failed and why, in one sentence."""
        if self.error is None:
            return ''
        if not self.failed_step:
            return str(self.error)
        return f'{self.failed_step} failed: {self.error}'


def run(
    environment: environment_.Environment, run_id: str, work: Work
) -> Outcome:
    """Run a flow to its end, kept under the id of its run.

    :raises errors.Suspended: it was suspended; what is kept stays
    :raises errors.CatalogError: it could not be kept, and did not begin
    """
    catalog = environment.catalog
    backend = persistence.open_backend(catalog)
    with environment_.using(environment), persistence.reporting(catalog):
        book = models.LogBook(f'run {run_id}', uuid=run_id)
        with (
            persistence.connected(backend) as connection,
            connection.held(book),
        ):
            engine = engines.load_from_factory(
                work.factory,
                factory_kwargs=dict(work.arguments),
                store=dict(work.store),
                book=book,
                backend=backend,
                engine='serial',
            )
            engine.compile()
            engine.prepare()
    return _drive(catalog, backend, run_id, engine)


def go_on(environment: environment_.Environment, run_id: str) -> Outcome:
    """Go on with a flow that is kept, to its end.

    What was done is not done again, but for the step that was on: that is
    begun anew. What was attached is attached anew. A flow that was being
    reverted goes on with that.

    :raises errors.NotFound: nothing is kept of it
    :raises errors.Suspended: it was suspended again
    :raises errors.CatalogError: it could not be read
    """
    catalog = environment.catalog
    backend = persistence.open_backend(catalog)
    with environment_.using(environment), persistence.reporting(catalog):
        detail = persistence.flow_of(backend, run_id)
        engine = engines.load_from_detail(
            detail, backend=backend, engine='serial'
        )
        engine.compile()
        engine.prepare()
        steps = [atom.name for atom in detail]
        for name in rewinding.stale(engine.storage, steps):
            engine.storage.reset(name)
    return _drive(catalog, backend, run_id, engine)


def _drive(
    catalog: catalog_.Catalog,
    backend: persistence.Backend,
    run_id: str,
    engine: Any,
) -> Outcome:
    try:
        engine.run()
        # Behind a step that was done again TaskFlow stops where it meets
        # one that was done before.
        while engine.storage.get_flow_state() == states.SUSPENDED:
            engine.run()
    except Exception as exc:  # noqa: BLE001 - the edge of the flow engine
        outcome = _failed(catalog, engine, exc)
    else:
        outcome = Outcome(engine.storage.fetch_all())
    try:
        catalog.check_attempt(run_id)
    except errors.RunAborted as exc:
        LOG.warning('%s', exc)
    else:
        # It has ended for good: its steps are of no more use.
        persistence.forget(backend, run_id)
    return outcome


def _failed(catalog: catalog_.Catalog, engine: Any, exc: Exception) -> Outcome:
    """Tell what failed first, and whether all was reverted after it."""
    step, cause = '', exc
    for name, failure in engine.storage.get_execute_failures().items():
        step, cause = name, failure.exception or exc
        break
    if isinstance(cause, exceptions.StorageFailure):
        error: errors.BackupkitError = persistence.as_error(catalog, cause)
    else:
        error = faults.as_error(cause, 'flow')
    LOG.debug('flow failed in step %s', step or '(none)', exc_info=exc)
    return Outcome(
        engine.storage.fetch_all(),
        error=error,
        failed_step=step,
        reverted=engine.storage.get_flow_state() == states.REVERTED,
    )

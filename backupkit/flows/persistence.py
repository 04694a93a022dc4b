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


"""Where TaskFlow keeps the flows: in the catalog's database.

TaskFlow's ``dir`` persistence does not survive a crash, and a database of
its own would be one more thing to lose. Its SQLAlchemy backend is given the
catalog's own engine, so that both take their locks in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import importlib.util
import logging
import pathlib
import re
from typing import Any

from taskflow import exceptions
from taskflow.persistence import base

from backupkit import catalog as catalog_
from backupkit import errors
from backupkit.flows import deferred

LOG = logging.getLogger(__name__)

_MIGRATION = 'taskflow.persistence.backends.sqlalchemy.migration'
_PROGRESS = frozenset({'progress', 'progress_details'})
_REVISION = re.compile(r"^(down_)?revision = ['\"](\w+)['\"]", re.MULTILINE)


@contextlib.contextmanager
def reporting(catalog: catalog_.Catalog) -> Iterator[None]:
    """Turn TaskFlow's storage failures into errors of the catalog.

    :raises errors.CatalogError: a flow could not be stored or read
    """
    try:
        yield
    except exceptions.StorageFailure as exc:
        raise as_error(catalog, exc) from exc


def as_error(
    catalog: catalog_.Catalog, exc: BaseException
) -> errors.CatalogError:
    """Return the catalog's error behind a storage failure."""
    return catalog.explain(exc.__cause__ or exc)


class Backend(base.Backend):  # type: ignore[misc]  # TaskFlow has no types
    """TaskFlow's SQLAlchemy backend, with one connection for all uses.

    A connection of TaskFlow's makes its own table objects, for which
    SQLAlchemy compiles every statement anew; it holds nothing else.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__({})
        self._inner = inner
        self._connection = _Connection(inner.get_connection())

    def get_connection(self) -> Any:
        """Return the connection; closing it does nothing."""
        return self._connection

    def close(self) -> None:
        """Let go of what the backend holds."""
        self._inner.close()


class _Connection:
    """Leaves out the writes that nobody would read.

    Those that only tell a task's progress, two for each task: progress is
    reported by the run's control. And those that only add up to a flow
    before its first task: the flow is written once, when it is whole.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._written: dict[str, dict[str, Any]] = {}
        self._held = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextlib.contextmanager
    def held(self, book: Any) -> Iterator[None]:
        """Write nothing until the end, and then all of a new logbook."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self._inner.save_logbook(book)

    def save_logbook(self, book: Any) -> None:
        """Write a logbook and all that is in it."""
        if not self._held:
            self._inner.save_logbook(book)

    def update_flow_details(self, flow: Any, **options: Any) -> Any:
        """Write a flow's details with those of its tasks."""
        if self._held:
            return flow
        return self._inner.update_flow_details(flow, **options)

    def update_atom_details(self, atom: Any) -> Any:
        """Write a task's details, if there is more than progress in them."""
        if self._held:
            return atom
        told = atom.to_dict()
        told['meta'] = {
            key: value
            for key, value in (told['meta'] or {}).items()
            if key not in _PROGRESS
        }
        if self._written.get(atom.uuid) == told:
            return atom
        updated = self._inner.update_atom_details(atom)
        self._written[atom.uuid] = told
        return updated


def open_backend(catalog: catalog_.Catalog) -> Backend:
    """Return TaskFlow's backend on the catalog's database, schema and all.

    :raises errors.CatalogError: the schema cannot be made or read
    """
    # Alembic costs more than all the rest, and is needed on an upgrade only.
    deferred.import_later(_MIGRATION)
    from taskflow.persistence.backends import impl_sqlalchemy

    backend = Backend(
        impl_sqlalchemy.SQLAlchemyBackend({}, engine=catalog.engine)
    )
    with reporting(catalog), connected(backend) as connection:
        if not _at_head(catalog.engine):
            _upgrade(catalog.engine, connection)
    return backend


def _upgrade(engine: Any, connection: Any) -> None:
    """Make TaskFlow's tables, unless another process just does so."""
    try:
        connection.upgrade()
    except exceptions.StorageFailure:
        if not _at_head(engine):
            raise


def _at_head(engine: Any) -> bool:
    """Tell whether TaskFlow's tables are there in their last revision.

    TaskFlow asks alembic, which takes longer to import than a small flow
    to run. On SQLite it has no revisions: making what is not there is all
    that it does.
    """
    if engine.dialect.name == 'sqlite':
        return False
    with engine.connect() as connection:
        if not engine.dialect.has_table(connection, 'alembic_version'):
            return False
        found = connection.exec_driver_sql(
            'SELECT version_num FROM alembic_version'
        ).scalar()
    return found is not None and {found} == heads()


def heads() -> set[str]:
    """Return the revisions that no other of TaskFlow's follows."""
    package = importlib.util.find_spec(_MIGRATION.rpartition('.')[0])
    if package is None or package.origin is None:
        return set()
    scripts = pathlib.Path(package.origin).parent / 'alembic' / 'versions'
    known: set[str] = set()
    followed: set[str] = set()
    for script in scripts.glob('*.py'):
        for down, revision in _REVISION.findall(script.read_text()):
            (followed if down else known).add(revision)
    return known - followed


@contextlib.contextmanager
def connected(backend: Backend) -> Iterator[Any]:
    """Yield a connection of TaskFlow's, closed afterwards."""
    with contextlib.closing(backend.get_connection()) as connection:
        yield connection


def forget(backend: Backend, run_id: str) -> None:
    """Remove what is kept of a run's flow; absent is fine.

    Where the database cannot be written now it stays, and is harmless.
    """
    with connected(backend) as connection:
        try:
            connection.destroy_logbook(run_id)
        except exceptions.NotFound:
            pass
        except exceptions.StorageFailure as exc:
            LOG.warning('the flow of run %s is not removed: %s', run_id, exc)


def flow_of(backend: Backend, run_id: str) -> Any:
    """Return the details of a run's flow.

    :raises errors.NotFound: nothing is kept of it
    """
    with connected(backend) as connection:
        try:
            details = list(connection.get_logbook(run_id))
        except exceptions.NotFound:
            details = []
    if not details:
        raise errors.NotFound(f'nothing is kept of the flow of run {run_id}')
    return details[0]


def kept(catalog: catalog_.Catalog) -> list[str]:
    """Return the ids of all runs whose flows are kept."""
    backend = open_backend(catalog)
    with reporting(catalog), connected(backend) as connection:
        return [book.uuid for book in connection.get_logbooks(lazy=True)]

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

"""TaskFlow's records in the database of the catalog."""

from __future__ import annotations

import threading

import sqlalchemy as sa
from taskflow import engines
from taskflow.patterns import linear_flow
from taskflow.persistence.backends import impl_sqlalchemy
from taskflow.persistence import models
from taskflow import task

from backupkit import errors
from tests.unit.catalog import base


class _Count(task.Task):  # type: ignore[misc] # taskflow has no types
    default_provides = 'count'

    def execute(self, number: int) -> int:
        return number + 1


class TaskflowTest(base.CatalogTestCase):
    def _backend(self) -> impl_sqlalchemy.SQLAlchemyBackend:
        backend = impl_sqlalchemy.SQLAlchemyBackend(
            {'connection': self.url}, engine=self.catalog.engine
        )
        backend.get_connection().upgrade()
        return backend

    def _run_flow(
        self, backend: impl_sqlalchemy.SQLAlchemyBackend, number: int
    ) -> str:
        book = models.LogBook(f'book-{number}')
        flow = linear_flow.Flow('flow').add(
            *(
                _Count(f'count-{step}', inject={'number': number})
                for step in range(3)
            )
        )
        engine = engines.load(flow, backend=backend, book=book)
        engine.run()
        return str(book.uuid)

    def test_when_flows_are_persisted_then_both_schemas_stand(self) -> None:
        backend = self._backend()

        book = self._run_flow(backend, 1)

        with self.open().engine.connect() as connection:
            tables = set(sa.inspect(connection).get_table_names())
        self.assertLessEqual({'logbooks', 'flowdetails', 'runs'}, tables)
        self.assertEqual([], self.open().runs())
        stored = backend.get_connection().get_logbook(book)
        (flow,) = stored
        self.assertEqual('SUCCESS', flow.state)

    def test_when_flows_run_in_threads_then_the_catalog_goes_on(
        self,
    ) -> None:
        backend = self._backend()
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                run = self.catalog.register_run('check')
                self._run_flow(backend, number)
                self.catalog.finish_run(run.run_id, 'done')
            except BaseException as error:  # noqa: BLE001 shown below
                failures.append(error)

        threads = [
            threading.Thread(target=work, args=(number,))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual([], failures)
        books = {
            str(book.uuid)
            for book in backend.get_connection().get_logbooks(lazy=True)
        }
        states = {run.state for run in self.catalog.runs()}
        self.assertEqual({'done'}, states)
        self.assertEqual(4, len(books))

    def test_when_a_book_is_destroyed_then_its_flows_go_too(self) -> None:
        backend = self._backend()
        book = self._run_flow(backend, 1)

        backend.get_connection().destroy_logbook(book)

        with self.catalog.engine.connect() as connection:
            for table in ('flowdetails', 'atomdetails'):
                count = connection.exec_driver_sql(
                    f'SELECT count(*) FROM {table}'
                ).scalar()
                self.assertEqual(0, count)

    def test_when_the_engine_fails_then_the_catalog_can_explain_it(
        self,
    ) -> None:
        with self.catalog.engine.connect() as connection:
            try:
                connection.exec_driver_sql('SELECT * FROM no_such_table')
            except sa.exc.SQLAlchemyError as error:
                explained = self.catalog.explain(error)

        self.assertIsInstance(explained, errors.CatalogError)
        self.assertIn('no_such_table', str(explained))

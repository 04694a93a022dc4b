# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The catalog of the model: each method is one transaction."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
from typing import Any

from tests.unit.repository.protocol import values

LEGAL = {
    values.State.RUNNING: {
        values.State.COMMITTING,
        values.State.ABORTING,
        # Only a mover, which has nothing to commit.
        values.State.DELETED,
    },
    values.State.COMMITTING: {values.State.AVAILABLE, values.State.ABORTING},
    values.State.ABORTING: {values.State.AVAILABLE, values.State.ABORTED},
    values.State.AVAILABLE: {values.State.DELETING},
    values.State.DELETING: {values.State.DELETED, values.State.AVAILABLE},
    values.State.ABORTED: set[values.State](),
    values.State.DELETED: set[values.State](),
}


class Catalog:
    """Keep the rows of the runs and the condemned list."""

    def __init__(self) -> None:
        self.runs: dict[int, values.Row] = {}
        #: Each condemned name with its barrier, once that is known.
        self.condemned: dict[str, int | None] = {}

    def register(self, attempt: str) -> int:
        """Begin a run, and return its number."""
        number = len(self.runs) + 1
        self.runs[number] = values.Row(values.State.RUNNING, attempt)
        return number

    def register_mover(self, attempt: str) -> int:
        """Begin a run that moves packs, and return its number."""
        number = self.register(attempt)
        self._change(number, mover=True)
        return number

    def end_move(self, number: int) -> None:
        """End a mover: nobody waits any more with what is not reached."""
        self._change(number, state=values.State.DELETED)

    def rows(self) -> tuple[tuple[int, values.Row], ...]:
        """Return every run."""
        return tuple(self.runs.items())

    def last_number(self) -> int:
        """Return the number of the run last registered."""
        return len(self.runs)

    def take_over(self, number: int, attempt: str) -> values.Row | None:
        """Make the caller the run's writer, or return None if it is over."""
        row = self.runs.get(number)
        if (
            row is None
            or row.mover
            or row.state
            not in (
                values.State.RUNNING,
                values.State.COMMITTING,
            )
        ):
            return None
        if row.state is values.State.RUNNING:
            return self._change(number, attempt=attempt)
        strays = row.strays | {row.attempt}
        return self._change(
            number, attempt=attempt, strays=strays, overtaken=True
        )

    def begin_commit(
        self,
        number: int,
        attempt: str,
        document: values.Manifest,
        *,
        any_attempt: bool = False,
    ) -> bool:
        """Fix the manifest, unless the run was aborted or taken over.

        With `any_attempt` whoever had it once may: only a mutant does so.
        """
        row = self.runs[number]
        if row.state is not values.State.RUNNING:
            return False
        if row.attempt != attempt and not any_attempt:
            return False
        self._change(number, state=values.State.COMMITTING, document=document)
        return True

    def end_commit(self, number: int, attempt: str) -> None:
        """Note that the manifest is there, and hear of the caller."""
        state = self.runs[number].state
        if state in (values.State.COMMITTING, values.State.ABORTING):
            self._change(number, state=values.State.AVAILABLE)
        self.hear(number, attempt)

    def hear(self, number: int, attempt: str) -> None:
        """Note that an attempt will not put the manifest any more."""
        strays = self.runs[number].strays - {attempt}
        self._change(number, strays=strays)

    def bury(self, number: int) -> None:
        """Note what an operator knows: no writer of this run is alive."""
        self._change(number, strays=frozenset())

    def begin_abort(
        self, number: int, attempt: str | None, *, sent: bool, forced: bool
    ) -> bool:
        """Decide that a run shall end, unless it has ended already.

        With `attempt` it is the writer's own revert, refused if the run was
        taken over. `sent` says that, for all the caller knows, the run's
        writer has sent the manifest. `forced` allows the abort nevertheless.
        """
        row = self.runs.get(number)
        if row is None or attempt not in (None, row.attempt):
            return False
        if row.mover:
            # An operator says that it is gone, which need not be true.
            self._change(number, state=values.State.DELETED)
            return False
        if row.state in (values.State.ABORTING, values.State.ABORTED):
            return True
        if row.state not in (values.State.RUNNING, values.State.COMMITTING):
            return False
        strays = row.strays
        if row.state is values.State.COMMITTING and sent:
            strays |= {row.attempt}
        if strays and not forced:
            return False
        self._change(number, state=values.State.ABORTING, strays=strays)
        return True

    def end_abort(self, number: int) -> bool:
        """Note that the tombstone is there, unless the run has committed."""
        if self.runs[number].state not in (
            values.State.ABORTING,
            values.State.ABORTED,
        ):
            return False
        self._change(number, state=values.State.ABORTED)
        return True

    def begin_delete(
        self, number: int, *, deleter: str = ''
    ) -> values.State | None:
        """Hide a backup, and return what it was; None if it is gone.

        Another delete may have begun, and its deleter be lost.
        """
        row = self.runs.get(number)
        if row is None or row.state not in (
            values.State.AVAILABLE,
            values.State.DELETING,
        ):
            return None
        self._change(number, state=values.State.DELETING, deleter=deleter)
        return row.state

    def spare(self, number: int, *, deleter: str | None) -> None:
        """Take a delete back that the store has refused.

        Unless another one has begun since: only a mutant, which gives None
        as the deleter, does not ask.
        """
        row = self.runs[number]
        if row.state is values.State.DELETING and deleter in (
            None,
            row.deleter,
        ):
            self._change(number, state=values.State.AVAILABLE)

    def end_delete(self, number: int) -> None:
        """Note that the manifest is gone."""
        self._change(number, state=values.State.DELETED)

    def noted(self) -> tuple[tuple[str, int | None], ...]:
        """Return the condemned list."""
        return tuple(self.condemned.items())

    def condemn(self, names: Iterable[str]) -> None:
        """Put names on the condemned list, with no barrier yet."""
        for name in names:
            self.condemned.setdefault(name, None)

    def keep_barrier(self, names: Iterable[str], number: int) -> None:
        """Note the barrier of names that have none."""
        for name in names:
            if self.condemned.get(name, number) is None:
                self.condemned[name] = number

    def unlist(self, names: Iterable[str]) -> None:
        """Take names off the condemned list."""
        for name in names:
            self.condemned.pop(name, None)

    def _change(self, number: int, **changes: Any) -> values.Row:
        old = self.runs[number]
        new = dataclasses.replace(old, **changes)
        if new.state not in {old.state, *LEGAL[old.state]}:
            raise values.Violation(
                f'run {number} went from {old.state} to {new.state}'
            )
        self.runs[number] = new
        return new

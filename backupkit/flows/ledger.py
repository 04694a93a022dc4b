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


"""What a run has made and must remove again.

An entry is committed before a temporary thing is made, and removed after
the thing is proved gone. So whatever happens in between, the ledger names
all that may be left.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from backupkit import catalog as catalog_
from backupkit import errors
from backupkit import model

SNAPSHOT = catalog_.LedgerKind.SNAPSHOT
ATTACHMENT = catalog_.LedgerKind.ATTACHMENT
VOLUME = catalog_.LedgerKind.VOLUME
CHECKPOINT = catalog_.LedgerKind.CHECKPOINT


def derived_name(backup_id: str) -> str:
    """Return the name that a temporary thing of a backup is given."""
    return model.derived_name(backup_id)


@dataclasses.dataclass(frozen=True, slots=True)
class Thing:
    """A temporary thing that a run makes: of a kind, under a name."""

    run_id: str
    kind: catalog_.LedgerKind
    name: str


class Ledger:
    """The catalog's ledger, as tasks use it.

    Every method may be called again: a task that was killed runs anew.
    """

    def __init__(self, catalog: catalog_.Catalog) -> None:
        self._catalog = catalog

    def claim(
        self, thing: Thing, details: Mapping[str, Any]
    ) -> catalog_.LedgerEntry:
        """Return the entry of a thing, made now where there is none."""
        entry = self.find(thing)
        if entry is None:
            self._catalog.ledger_add(
                thing.run_id, thing.kind, thing.name, details
            )
            entry = self.find(thing)
        if entry is None:
            raise errors.CatalogError(
                f'the ledger has lost {thing.kind} {thing.name}'
            )
        return entry

    def describe(
        self, entry: catalog_.LedgerEntry, details: Mapping[str, Any]
    ) -> None:
        """Add to the details of an entry what is known by now."""
        self._catalog.ledger_update(
            entry.entry_id, {**entry.details, **details}
        )

    def retain(self, entry: catalog_.LedgerEntry) -> None:
        """Mark what an entry names as kept on purpose, after its run."""
        self._catalog.ledger_add(
            entry.run_id,
            entry.kind,
            entry.name,
            entry.details,
            retained=True,
        )

    def find(self, thing: Thing) -> catalog_.LedgerEntry | None:
        """Return the entry of a thing, or None: it is proved gone."""
        for entry in self._catalog.ledger(thing.run_id):
            if (entry.kind, entry.name) == (thing.kind, thing.name):
                return entry
        return None

    def release(self, thing: Thing) -> None:
        """Remove the entry of a thing that is proved gone."""
        entry = self.find(thing)
        if entry is not None:
            self._catalog.ledger_remove(entry.entry_id)

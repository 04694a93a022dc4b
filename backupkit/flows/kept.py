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


"""What a run had made by the time when it began its commit."""

from __future__ import annotations

from typing import Any

from taskflow import states

from backupkit import catalog as catalog_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import persistence

_COPY = 'copy'
_COMPARE = 'compare'


def prepared(
    catalog: catalog_.Catalog, target: target_.Target, run_id: str
) -> target_.Prepared | None:
    """Return what a run commits, as its flow keeps it; None without.

    It is the same, to the byte, as the run itself would commit.

    :raises errors.CatalogError: the flow cannot be read
    """
    backend = persistence.open_backend(catalog)
    with persistence.reporting(catalog):
        try:
            flow = persistence.flow_of(backend, run_id)
        except errors.NotFound:
            return None
        made = {atom.name: atom for atom in flow}
    copied = _result(made.get(_COPY))
    if copied is None:
        return None
    found = target_.Prepared.from_dict(copied)
    if _result(made.get(_COMPARE)) is False:
        return target.revise(found, consistent=False)
    return found


def _result(atom: Any) -> Any:
    """Return the result of a step that was done, else None."""
    if atom is None or atom.state != states.SUCCESS:
        return None
    return atom.results

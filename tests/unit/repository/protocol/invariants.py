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

"""What must hold after every call, and what when all is quiet again."""

from __future__ import annotations

from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world

MAY_HAVE_MANIFEST = (
    values.State.COMMITTING,
    values.State.ABORTING,
    values.State.AVAILABLE,
    values.State.DELETING,
)
MAY_HAVE_TOMBSTONE = (
    values.State.ABORTING,
    values.State.ABORTED,
    values.State.DELETING,
    values.State.DELETED,
)


def check(now: world.World) -> None:
    """Check what holds after every call."""
    for number, row in now.runs.items():
        body = now.objects.get(values.manifest_name(number))
        if isinstance(body, values.Manifest):
            _check_manifest(now, number, row, body)
        elif isinstance(body, values.Tombstone):
            if row.state not in MAY_HAVE_TOMBSTONE:
                raise values.Violation(
                    f'run {number} is {row.state.value} with a tombstone'
                )
        elif row.state is values.State.AVAILABLE:
            raise values.Violation(f'backup {number} has no manifest')


def _check_manifest(
    now: world.World,
    number: int,
    row: values.Row,
    manifest: values.Manifest,
) -> None:
    late = row.overtaken and row.state is values.State.DELETING
    if late or row.state is values.State.DELETED:
        return
    if row.state not in MAY_HAVE_MANIFEST:
        raise values.Violation(
            f'run {number} is {row.state.value} with a manifest'
        )
    missing = lost(now, manifest)
    if missing:
        raise values.Violation(
            f'manifest {number} ({row.state.value}) lost {missing}'
        )


def lost(now: world.World, manifest: values.Manifest) -> list[str]:
    """Tell which digests a manifest names but no reader would find."""
    found: set[str] = set()
    for name in manifest.indexes:
        index = now.objects.get(name)
        if isinstance(index, values.Index):
            for pack, digests in index.packs:
                body = now.objects.get(pack)
                if pack in manifest.packs and isinstance(body, values.Pack):
                    found.update(set(digests) & set(body.digests))
    for pack in manifest.packs:
        moved = now.objects.get(values.moved_name(pack))
        if isinstance(moved, values.Moved) and moved.index in now.objects:
            body = now.objects.get(moved.pack)
            if isinstance(body, values.Pack):
                found.update(set(moved.digests) & set(body.digests))
    return [digest for digest in manifest.digests if digest not in found]


def check_quiet(now: world.World) -> None:
    """Check what holds when every run has ended and gc has run."""
    needed: set[str] = set()
    for number, row in now.runs.items():
        if row.state is values.State.AVAILABLE:
            name = values.manifest_name(number)
            manifest = now.objects[name]
            if isinstance(manifest, values.Manifest):
                needed.update((name, *manifest.packs, *manifest.indexes))
                for pack in manifest.packs:
                    name = values.moved_name(pack)
                    moved = now.objects.get(name)
                    if isinstance(moved, values.Moved):
                        needed.update((name, moved.pack, moved.index))
        elif row.state not in (values.State.ABORTED, values.State.DELETED):
            raise values.Violation(f'run {number} is left {row.state.value}')
    left = set(now.objects) - needed
    if left:
        raise values.Violation(f'nothing reaches {sorted(left)}')
    gone = {
        name
        for name in set(now.condemned) - set(now.objects)
        # While it is reached it stays, so that gc knows where it went.
        if values.moved_name(name) not in now.objects
    }
    if gone:
        raise values.Violation(f'condemned but gone: {sorted(gone)}')

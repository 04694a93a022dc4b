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

"""Checks a whole repository: every object in it, reached or not."""

from __future__ import annotations

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import check as check_
from backupkit.repository import damage as damage_
from backupkit.repository import fetch
from backupkit.repository import frame
from backupkit.repository import layout
from backupkit.repository import moved as moved_
from backupkit.repository import packset
from backupkit.repository import repository as repository_
from backupkit.repository import selection
from backupkit.repository import settings as settings_


def audit(
    repository: repository_.Repository,
    coordinator: target_.Coordinator,
    control: control_.Control,
    *,
    threads: int,
    reads: selection.Selection,
    directory: str | None = None,
) -> tuple[target_.Report, damage_.Damage]:
    """Check all objects that no running backup is still writing.

    :param reads: chooses the packs of which every byte is read
    :param directory: as of :class:`.check.Checker`
    """
    live = set(coordinator.live(repository.repository_id))
    with check_.Checker(
        repository,
        control,
        threads=threads,
        reads=reads,
        directory=directory,
    ) as checker:
        packs, parts, manifests = _sort(repository, checker, live)
        committed = set(coordinator.committed(repository.repository_id))
        for backup_id in sorted((manifests | committed) - live):
            if not _aborted(repository, checker, backup_id, committed):
                checker.backup(backup_id)
        _unreached(checker, packs, parts)
        return checker.report(), checker.damage


def _sort(
    repository: repository_.Repository,
    checker: check_.Checker,
    live: set[str],
) -> tuple[packset.PackSet, set[layout.PartId], set[str]]:
    """List everything; check what is neither pack, part nor manifest.

    :returns: packs and parts that nobody is writing, and all manifests
    """
    packs = packset.PackSet()
    parts: set[layout.PartId] = set()
    manifests: set[str] = set()
    others = {layout.RESERVE, layout.CONFIG}
    for stat in repository.store.list():
        match layout.parse(stat.name):
            case layout.PackId() as pack:
                if pack.owner not in live:
                    packs.add(pack)
            case layout.PartId() as part:
                if part.owner not in live:
                    parts.add(part)
            case layout.JournalId() | layout.FileId():
                # Of a copy that goes on, or of an image that is checked
                # with its manifest; or else gc removes it.
                checker.objects += 1
            case str(backup_id):
                manifests.add(backup_id)
            case _:
                others.add(stat.name)
    for name in sorted(others):
        checker.objects += 1
        if problem := _problem(repository, name):
            checker.found(name, problem)
    return packs, parts, manifests


def _problem(repository: repository_.Repository, name: str) -> str:
    """Return what is wrong with an object beside the backups, or ''."""
    try:
        data = fetch.whole(repository.store, name)
        moved = layout.parse(name)
        if isinstance(moved, layout.MovedId):
            moved_.read(data, moved.pack)
        elif name == layout.CONFIG:
            settings_.load(data)
        elif name == layout.RESERVE:
            frame.unseal(frame.RESERVE, data, 'the reserve')
        elif name.startswith(layout.DAMAGED):
            damage_.read(data, name)
        elif name.startswith(layout.ADOPTED):
            settings_.load_adoption(data, int(name[len(layout.ADOPTED) :]))
        else:
            return 'this object does not belong to a repository'
    except errors.ObjectNotFound:
        return 'the object is gone'
    except (errors.IntegrityError, ValueError) as exc:
        return str(exc)
    return ''


def _aborted(
    repository: repository_.Repository,
    checker: check_.Checker,
    backup_id: str,
    committed: set[str],
) -> bool:
    """Tell whether a good tombstone stands where a manifest would."""
    if backup_id in committed:
        return False
    name = layout.manifest(backup_id)
    try:
        data = fetch.whole(repository.store, name)
        return repository_.is_tombstone(data, backup_id)
    except errors.ObjectNotFound:
        return True
    except errors.IntegrityError as exc:
        checker.found(name, str(exc))
        return True


def _unreached(
    checker: check_.Checker,
    packs: packset.PackSet,
    parts: set[layout.PartId],
) -> None:
    """Check what no manifest reaches and gc has not yet removed."""
    for part in sorted(parts):
        checker.objects += 1
        try:
            checker.know(part, packs)
        except errors.ObjectNotFound:
            continue
        except errors.IntegrityError as exc:
            checker.found(part.name, str(exc))
    checker.stray(packs)

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


"""What is well and what is not: configuration, places, leftovers.

Looking changes nothing. Every diagnosis that is not *ok* names a cure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import importlib.metadata
import os
import platform
import shutil
import stat
import sys
from typing import Protocol

from oslo_config import cfg

from backupkit import catalog as catalog_
from backupkit.catalog import liveness
from backupkit import conf as conf_
from backupkit.drivers import loader
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import faults
from backupkit import model

OK = 'ok'
WARNING = 'warning'
PROBLEM = 'problem'

_CLEAR = 'backupkit doctor --clear'
_PACKAGES = ('taskflow', 'SQLAlchemy', 'blake3', 'zstandard', 'lz4')
_TOOLS = {
    'dot': 'to draw the graph of a dry run',
    'mount.nfs': 'to mount NFS shares',
    'qemu-img': 'to look into images that are not raw',
}


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at; ``state`` is ok, warning or problem."""

    area: str
    name: str
    state: str
    message: str
    cure: str = ''


class Subject(Protocol):
    """What is looked at."""

    @property
    def conf(self) -> cfg.ConfigOpts:
        """The loaded configuration."""

    @property
    def catalog(self) -> catalog_.Catalog:
        """The catalog."""

    @property
    def state_path(self) -> str:
        """The directory of this host's locks and caches."""

    def volume_driver(self, backend: str) -> volume_.VolumeDriver:
        """Return the volume driver of a backend."""

    def target(self, name: str) -> target_.Target:
        """Return a target."""


def examine(subject: Subject) -> list[Diagnosis]:
    """Look at everything, and go on after what cannot be looked at."""
    checks: tuple[tuple[str, Callable[[Subject], Iterator[Diagnosis]]], ...]
    checks = (
        ('software', _software),
        ('configuration', _configuration),
        ('directory', _directories),
        ('catalog', _catalog),
        ('backend', _backends),
        ('target', _targets),
        ('storage', _storage),
        ('run', _runs),
        ('leftover', _leftovers),
        ('volume', _volumes),
        ('backup', _backups),
    )
    found: list[Diagnosis] = []
    for area, check in checks:
        try:
            found += check(subject)
        except errors.BackupkitError as exc:
            found.append(Diagnosis(area, '', PROBLEM, str(exc), _cure(exc)))
    return found


def _cure(exc: errors.BackupkitError) -> str:
    if isinstance(exc, errors.ConfigurationError):
        return 'mend the configuration: backupkit config validate'
    if isinstance(exc, errors.CatalogError):
        return 'mend the catalog first'
    return 'see the message'


def _software(subject: Subject) -> Iterator[Diagnosis]:
    yield Diagnosis('software', 'python', OK, platform.python_version())
    for name in _PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Diagnosis(
                'software',
                name,
                PROBLEM,
                'it is not installed',
                f'pip install {name}',
            )
        else:
            yield Diagnosis('software', name, OK, version)
    if sys.modules.get('eventlet') is not None:
        yield Diagnosis(
            'software',
            'eventlet',
            WARNING,
            'eventlet is loaded in this process: copies may stall',
            "put sys.modules['eventlet'] = None before all imports",
        )
    for name, use in _TOOLS.items():
        path = shutil.which(name)
        told = path or f'not installed; only needed {use}'
        yield Diagnosis('software', name, OK, told)


def _configuration(subject: Subject) -> Iterator[Diagnosis]:
    conf = subject.conf
    problems = conf_.problems(conf, loader.driver_options)
    for problem in problems:
        error = problem.severity == 'error'
        yield Diagnosis(
            'configuration',
            f'[{problem.section}] {problem.option}'.rstrip(),
            PROBLEM if error else WARNING,
            problem.message,
            problem.cure or 'mend this option',
        )
    if not problems:
        count = len(conf.enabled_backends), len(conf.enabled_targets)
        told = '{} backends and {} targets are enabled'.format(*count)
        yield Diagnosis('configuration', '', OK, told)
    for name in conf.config_file or ():
        path = os.path.expanduser(name)
        if os.path.exists(path) and _mode(path) & stat.S_IWOTH:
            yield Diagnosis(
                'configuration',
                path,
                PROBLEM,
                'everybody may write to it',
                f'chmod o-w {path}',
            )


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def _directories(subject: Subject) -> Iterator[Diagnosis]:
    path = subject.state_path
    name = 'state_path'
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield Diagnosis(
            'directory',
            name,
            PROBLEM,
            f'this user cannot write to {path}',
            f'let this user own {path}, or name another one in state_path',
        )
    elif _mode(path) & stat.S_IRWXO:
        yield Diagnosis(
            'directory',
            name,
            WARNING,
            f'{path} is open to everybody: mode {_mode(path):o}',
            f'chmod o-rwx {path}',
        )
    else:
        yield Diagnosis('directory', name, OK, path)


def _catalog(subject: Subject) -> Iterator[Diagnosis]:
    problems = subject.catalog.check()
    for problem in problems:
        yield Diagnosis(
            'catalog',
            '',
            PROBLEM,
            problem,
            'move the database away, then: backupkit catalog rebuild',
        )
    if not problems:
        rows = subject.catalog.backups()
        yield Diagnosis('catalog', '', OK, f'{len(rows)} backups recorded')


def _backends(subject: Subject) -> Iterator[Diagnosis]:
    for name in subject.conf.enabled_backends:
        yield _checked('backend', name, subject.volume_driver)


def _targets(subject: Subject) -> Iterator[Diagnosis]:
    for name in subject.conf.enabled_targets:
        yield _checked('target', name, subject.target)


def _checked(
    area: str,
    name: str,
    load: Callable[[str], volume_.VolumeDriver | target_.Target],
) -> Diagnosis:
    try:
        driver = load(name)
        with faults.attributed(driver):
            able = driver.check()
    except errors.BackupkitError as exc:
        cure = f'mend the section [{area}:{name}] or the place it names'
        return Diagnosis(area, name, PROBLEM, str(exc), cure)
    return Diagnosis(area, name, OK, f'can do: {_facts(able)}')


def _facts(able: object) -> str:
    if not dataclasses.is_dataclass(able):
        return 'unknown'
    facts = [
        field.name.replace('_', ' ')
        for field in dataclasses.fields(able)
        if getattr(able, field.name) is True
    ]
    return ', '.join(facts) or 'what all can'


def _storage(subject: Subject) -> Iterator[Diagnosis]:
    for target in subject.conf.enabled_targets:
        for backend in subject.conf.enabled_backends:
            try:
                keeper = subject.target(target)
                with faults.attributed(keeper):
                    theirs = keeper.storage_identity()
                driver = subject.volume_driver(backend)
                with faults.attributed(driver):
                    ours = driver.storage_identity()
            except errors.BackupkitError:
                # The checks of the two have told what is wrong.
                continue
            if ours == theirs:
                yield Diagnosis(
                    'storage',
                    f'{backend}, {target}',
                    WARNING,
                    f'backend {backend} and target {target} lie on the same '
                    'storage: what destroys the volumes destroys their '
                    'backups',
                    'put the target on another storage',
                )


def _runs(subject: Subject) -> Iterator[Diagnosis]:
    for run in subject.catalog.runs(live_only=True):
        where = f'{run.kind} on host {run.host}, pid {run.pid}'
        abort = f'backupkit run abort {run.number}'
        name = str(run.number)
        if run.state == catalog_.RunState.SUSPENDED:
            told = f'{where}: suspended; it keeps what it has made'
            yield Diagnosis('run', name, WARNING, told, abort)
        elif liveness.is_dead(subject.state_path, run):
            told = f'{where}: its process has died'
            yield Diagnosis('run', name, PROBLEM, told, _CLEAR)
        elif liveness.is_alive(subject.state_path, run):
            yield Diagnosis('run', name, OK, f'{where}: at work')
        else:
            told = f'{where}: whether it is still at work cannot be told here'
            cure = f'if it is not: {abort}'
            yield Diagnosis('run', name, WARNING, told, cure)


def _leftovers(subject: Subject) -> Iterator[Diagnosis]:
    live = {run.run_id for run in subject.catalog.runs(live_only=True)}
    for entry in subject.catalog.ledger():
        if entry.retained or entry.run_id in live:
            continue
        yield Diagnosis(
            'leftover',
            f'{entry.kind} {entry.name}',
            PROBLEM,
            f'left by run {entry.run_id} on host {entry.host}',
            _CLEAR,
        )


def _volumes(subject: Subject) -> Iterator[Diagnosis]:
    live = {run.run_id for run in subject.catalog.runs(live_only=True)}
    for destination in subject.catalog.destinations():
        if destination.run_id in live:
            continue
        ref = model.VolumeRef(destination.backend, destination.volume_id)
        yield Diagnosis(
            'volume',
            str(ref),
            PROBLEM,
            f'incomplete: the restore of backup {destination.backup_id} to '
            'it has not finished',
            f'backupkit backup restore {destination.backup_id} --to {ref} '
            '--overwrite',
        )


def _backups(subject: Subject) -> Iterator[Diagnosis]:
    live = {run.backup_id for run in subject.catalog.runs(live_only=True)}
    for row in subject.catalog.backups():
        if row.status == model.BackupStatus.DAMAGED:
            volume = model.VolumeRef(row.backend, row.volume_id)
            yield Diagnosis(
                'backup',
                row.backup_id,
                PROBLEM,
                f'damaged, of volume {volume}',
                f'make a new one: backupkit backup create {volume}; then '
                f'backupkit backup delete {row.backup_id}',
            )
        elif (
            row.status == model.BackupStatus.DELETING
            and row.backup_id not in live
        ):
            yield Diagnosis(
                'backup',
                row.backup_id,
                WARNING,
                'its delete was interrupted',
                f'backupkit backup delete {row.backup_id}',
            )

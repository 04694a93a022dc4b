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


"""Configuration, drivers and catalog of a process, each loaded once."""

from __future__ import annotations

import functools
import logging
import os
import pathlib
import threading
from typing import TYPE_CHECKING, cast

from oslo_config import cfg

from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit import errors
from backupkit import model
from backupkit import mounts

if TYPE_CHECKING:
    from backupkit.drivers import target as target_
    from backupkit.drivers import volume as volume_
    from backupkit.flows import environment as environment_
    from backupkit.repository import target as repository_target

LOG = logging.getLogger(__name__)

_DIRECTORY_MODE = 0o770
_MAX_THREADS = 4


class Session:
    """What every call of the API works with.

    Nothing is loaded before it is asked for, so that a command costs what
    it uses. May be used by several threads.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        mounts.configure(conf)
        self._lock = threading.RLock()
        self._volume_drivers: dict[str, volume_.VolumeDriver] = {}
        self._targets: dict[str, target_.Target] = {}

    @functools.cached_property
    def catalog(self) -> catalog_.Catalog:
        """The catalog, opened when it is first asked for."""
        with self._lock:
            return catalog_.open(self.conf.catalog.connection)

    @functools.cached_property
    def state_path(self) -> str:
        """The directory of this host's locks and caches, made on demand."""
        return str(_directory(pathlib.Path(self.conf.state_path)))

    def close(self) -> None:
        """Let go of the catalog, if it was opened."""
        catalog = self.__dict__.pop('catalog', None)
        if catalog is not None:
            catalog.close()

    def environment(
        self, control: control_.Control | None = None
    ) -> environment_.Environment:
        """Return what flows are given to work with."""
        from backupkit.flows import environment

        return environment.Environment(
            self, self.catalog, control or control_.Control()
        )

    def volume_driver(self, backend: str) -> volume_.VolumeDriver:
        """Return the driver of an enabled backend.

        :raises errors.NotFound: it is not enabled
        :raises errors.ConfigurationError: it cannot be loaded
        """
        from backupkit.drivers import loader

        with self._lock:
            if backend not in self._volume_drivers:
                _require('backend', backend, self.conf.enabled_backends)
                self._volume_drivers[backend] = loader.load_volume_driver(
                    self.conf, backend
                )
            return self._volume_drivers[backend]

    def target(self, name: str) -> target_.Target:
        """Return an enabled target.

        :raises errors.NotFound: it is not enabled
        :raises errors.ConfigurationError: it cannot be loaded
        """
        from backupkit.drivers import loader

        with self._lock:
            if name not in self._targets:
                _require('target', name, self.conf.enabled_targets)
                target = loader.load_target(self.conf, name)
                self._equip(target)
                self._targets[name] = target
            return self._targets[name]

    def _equip(self, target: target_.Target) -> None:
        """Tell a target what it may use of this host."""
        threads = self.conf.copy_threads or min(
            _MAX_THREADS, len(os.sched_getaffinity(0))
        )
        cache = _directory(pathlib.Path(self.state_path, 'cache'))
        target.set_environment(str(cache), threads, self.conf.max_memory_bytes)

    def repository(
        self, name: str | None
    ) -> repository_target.RepositoryTarget:
        """Return a target that keeps a repository.

        :raises errors.NotSupported: this one keeps none
        """
        target = self.target(self.target_name(name))
        if not target.capabilities.repository:
            raise errors.NotSupported(
                f'target {target.name} keeps no repository of chunks'
            )
        return cast('repository_target.RepositoryTarget', target)

    def target_name(self, name: str | None) -> str:
        """Return the name of the target meant by None: the default one.

        :raises errors.UsageError: there is none
        """
        enabled = self.conf.enabled_targets
        if name or self.conf.default_target:
            return str(name or self.conf.default_target)
        if len(enabled) == 1:
            return str(enabled[0])
        raise errors.UsageError(
            f'{len(enabled)} targets are enabled and none is the default: '
            'name one, or set default_target in the configuration'
        )

    def ref(self, text: str) -> model.VolumeRef:
        """Return the volume that a text names, of an enabled backend."""
        ref = model.VolumeRef.parse(text)
        _require('backend', ref.backend, self.conf.enabled_backends)
        return ref


def _require(kind: str, name: str, enabled: list[str]) -> None:
    if name not in enabled:
        known = ', '.join(enabled) or 'none'
        raise errors.NotFound(
            f'{kind} {name} is not enabled; enabled {kind}s: {known}'
        )


class Part:
    """A part of the API: works with the session that the others have."""

    def __init__(self, session: Session) -> None:
        self._session = session


def _directory(path: pathlib.Path) -> pathlib.Path:
    """Make a directory of ours where it is not, open to our group only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=_DIRECTORY_MODE)
        # The umask may have taken something from the mode.
        path.chmod(_DIRECTORY_MODE)
    except FileExistsError:
        pass
    except OSError as exc:
        raise errors.ConfigurationError(
            f'cannot make {path}: {exc.strerror}: state_path must be a '
            'directory that this user can write to'
        ) from exc
    return path

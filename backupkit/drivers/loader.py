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


"""Drivers by the names that a configuration gives them.

The only user of stevedore. A driver is imported when a configured section
names it, or when all drivers are listed, and whatever is wrong with it
becomes one :class:`backupkit.errors.DriverError` about it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import difflib
import functools
import importlib.metadata
import inspect
import logging
from typing import Any, cast, NoReturn

from oslo_config import cfg
from stevedore import driver as stevedore_driver
from stevedore import named

from backupkit.drivers import contract
from backupkit.drivers import patience
from backupkit.drivers import section
from backupkit.drivers import target
from backupkit.drivers import volume
from backupkit.drivers.wrappers import wrapping
from backupkit import errors

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    """One of the two kinds of drivers, and where they are found."""

    name: str
    section: str
    namespace: str
    base: type[contract.Driver]


_VOLUME = _Kind('volume', 'backend', 'backupkit.volumes', volume.VolumeDriver)
_TARGET = _Kind('target', 'target', 'backupkit.targets', target.Target)

#: The options of each class that was loaded. Kept, so that a section can be
#: read twice even where the options that a driver makes anew each time do
#: not compare as equal.
_OPTIONS: dict[type[contract.Driver], Sequence[cfg.Opt]] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class DriverListing:
    """What ``driver list`` tells of one installed driver.

    ``problem`` says in one sentence why it cannot be used, where it is not
    ``ok``.
    """

    kind: str
    name: str
    class_path: str
    contract: str
    ok: bool
    problem: str
    distribution: str
    summary: str


def load_volume_driver(conf: cfg.ConfigOpts, name: str) -> volume.VolumeDriver:
    """Return the driver that the section ``[backend:NAME]`` configures.

    :raises errors.DriverError: the driver cannot be loaded
    :raises errors.ConfigurationError: the section or one of its options is
        missing or wrong
    """
    return cast('volume.VolumeDriver', _load(conf, _VOLUME, name))


def load_target(conf: cfg.ConfigOpts, name: str) -> target.Target:
    """Return the driver that the section ``[target:NAME]`` configures.

    The stores of a target with a repository come in the wrappers that its
    section asks for.

    :raises errors.DriverError: the driver cannot be loaded
    :raises errors.ConfigurationError: the section or one of its options is
        missing or wrong
    """
    return cast('target.Target', _load(conf, _TARGET, name))


def driver_options(kind: str, driver: str) -> Sequence[cfg.Opt]:
    """Return all options that a section with this driver may hold.

    :param kind: of the section: ``backend`` or ``target``
    :raises errors.DriverError: the driver cannot be loaded
    """
    found = _VOLUME if kind == _VOLUME.section else _TARGET
    return _section_options(found, driver, _load_class(found, driver))


def list_drivers() -> list[DriverListing]:
    """Describe every installed driver, those that fail to load included."""
    return [
        _listing(kind, name)
        for kind in (_VOLUME, _TARGET)
        for name in _names(kind)
    ]


def list_opts() -> list[tuple[str, Sequence[cfg.Opt]]]:
    """Return the options of all drivers, for oslo.config's generator."""
    listed = []
    for kind in (_VOLUME, _TARGET):
        for name in _names(kind):
            try:
                options = driver_options(kind.section, name)
            except errors.DriverError as error:
                LOG.warning('left out of the options: %s', error)
            else:
                listed.append((f'{kind.section}:{name}', options))
    return listed


def _load(conf: cfg.ConfigOpts, kind: _Kind, name: str) -> contract.Driver:
    group = f'{kind.section}:{name}'
    driver = section.driver_name(conf, group, _names(kind))
    try:
        loaded = _load_class(kind, driver)
        options = _section_options(kind, driver, loaded)
        with _isolated(kind, driver):
            conf.register_opts(options, group=group)
    except errors.DriverError as error:
        raise errors.DriverError(f'section [{group}]: {error}') from error
    for option in options:
        section.value(conf, group, option)
    with _isolated(kind, driver):
        made = loaded(name, conf[group])
    if isinstance(made, target.Target):
        made.use_backends(functools.partial(load_volume_driver, conf))
    if _has_wrappers(loaded):
        limit = _patience(conf, name)
        wrappers = wrapping.Wrapping(name, conf[group], limit)
        # By name: the attributes belong to the targets that open a store,
        # whose base class this package does not know.
        setattr(made, 'patience', limit)  # noqa: B010 - see above
        setattr(made, 'store_wrapper', wrappers)  # noqa: B010 - see above
    return made


def _patience(conf: cfg.ConfigOpts, target_name: str) -> patience.Patience:
    """Return how long calls into a target may take.

    Without limit where the program that loads drivers has not registered
    the options of the core.
    """
    if 'io_timeout_seconds' not in conf:
        return patience.ENDLESS
    return patience.Patience(target_name, conf.io_timeout_seconds)


def _has_wrappers(loaded: type[contract.Driver]) -> bool:
    return issubclass(loaded, target.Target) and (
        loaded.capabilities.repository
    )


def _section_options(
    kind: _Kind, driver: str, loaded: type[contract.Driver]
) -> Sequence[cfg.Opt]:
    options = _OPTIONS.get(loaded)
    if options is None:
        with _isolated(kind, driver):
            own = tuple(loaded.get_options())
            wrappers = wrapping.get_options() if _has_wrappers(loaded) else ()
            options = (section.DRIVER_OPT, *own, *wrappers)
            # Two options of one name show here, before any section is read.
            cfg.ConfigOpts().register_opts(options)
        _OPTIONS[loaded] = options
    return options


def _entry_points(
    kind: _Kind,
) -> Sequence[importlib.metadata.EntryPoint]:
    found: named.NamedExtensionManager[Any] = named.NamedExtensionManager(
        kind.namespace, names=[]
    )
    return found.list_entry_points()


def _names(kind: _Kind) -> Sequence[str]:
    return sorted({point.name for point in _entry_points(kind)})


def _load_class(kind: _Kind, driver: str) -> type[contract.Driver]:
    points = {
        point.value: point
        for point in _entry_points(kind)
        if point.name == driver
    }
    if not points:
        raise _unknown(kind, driver)
    if len(points) > 1:
        offers = ' and '.join(
            sorted(f'{_distribution(p)} ({p.value})' for p in points.values())
        )
        raise errors.DriverError(
            f'{kind.name} driver {driver!r} is offered by {offers}: uninstall '
            'all but one'
        )

    def fail(
        manager: object,
        point: importlib.metadata.EntryPoint,
        error: BaseException,
    ) -> NoReturn:
        raise _broken(kind, driver, error) from error

    try:
        manager: stevedore_driver.DriverManager[Any]
        manager = stevedore_driver.DriverManager(
            kind.namespace, driver, on_load_failure_callback=fail
        )
    except (AssertionError, SystemExit) as error:
        # stevedore does not hand these to the callback.
        raise _broken(kind, driver, error) from error
    return _checked(kind, driver, manager.driver)


def _unknown(kind: _Kind, driver: str) -> errors.DriverError:
    names = _names(kind)
    near = difflib.get_close_matches(driver, names, 1)
    meant = f', is {near[0]!r} meant?' if near else ';'
    return errors.DriverError(
        f'there is no {kind.name} driver {driver!r}{meant} '
        f'installed are: {", ".join(names) or "none"}'
    )


def _broken(
    kind: _Kind, driver: str, error: BaseException
) -> errors.DriverError:
    return errors.DriverError(
        f'{kind.name} driver {driver!r} of {_origin(kind, driver)} fails: '
        f'{type(error).__name__}: {error}'
    )


@contextlib.contextmanager
def _isolated(kind: _Kind, driver: str) -> Iterator[None]:
    """Turn whatever a stranger's code raises into one error about it."""
    try:
        yield
    except errors.BackupkitError:
        raise
    except Exception as error:
        raise _broken(kind, driver, error) from error


def _checked(
    kind: _Kind, driver: str, loaded: object
) -> type[contract.Driver]:
    if not isinstance(loaded, type) or not issubclass(loaded, kind.base):
        problem = f'{loaded!r} is no subclass of {kind.base.__name__}'
        raise errors.DriverError(
            f'{kind.name} driver {driver!r} cannot be used: {problem}'
        )
    problem = _contract_problem(loaded.contract_version)
    if inspect.isabstract(loaded):
        missing = ', '.join(sorted(vars(loaded)['__abstractmethods__']))
        problem = problem or f'it lacks {missing}'
    if problem:
        raise errors.DriverError(
            f'{kind.name} driver {driver!r} of {_origin(kind, driver)} '
            f'cannot be used: {problem}'
        )
    return loaded


def _contract_problem(version: object) -> str:
    ours = contract.CONTRACT_VERSION
    if not version or not isinstance(version, str):
        return f'it states no contract_version, this backupkit has {ours}'
    try:
        major, minor = map(int, version.split('.'))
    except ValueError:
        return f'its contract_version {version!r} is not of the form 1.0'
    our_major, our_minor = map(int, ours.split('.'))
    if major != our_major or minor > our_minor:
        return (
            f'it was written for contract {version}, this backupkit has {ours}'
        )
    return ''


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    # stevedore's cache knows only names and values, not who offers them.
    offers = importlib.metadata.entry_points(group=point.group)
    for offer in offers.select(name=point.name):
        if offer.value == point.value and offer.dist:
            return f'{offer.dist.name} {offer.dist.version}'
    return 'an unknown distribution'


def _origin(kind: _Kind, driver: str) -> str:
    points = _entry_points(kind)
    return next(_distribution(p) for p in points if p.name == driver)


def _listing(kind: _Kind, driver: str) -> DriverListing:
    points = {p.value: p for p in _entry_points(kind) if p.name == driver}
    version = summary = problem = ''
    try:
        loaded = _load_class(kind, driver)
        _section_options(kind, driver, loaded)
        version = loaded.contract_version
        summary = (inspect.getdoc(loaded) or '').partition('\n')[0]
    except errors.DriverError as error:
        problem = str(error)
    return DriverListing(
        kind=kind.name,
        name=driver,
        class_path=', '.join(points),
        contract=version,
        ok=not problem,
        problem=problem,
        distribution=', '.join(map(_distribution, points.values())),
        summary=summary,
    )

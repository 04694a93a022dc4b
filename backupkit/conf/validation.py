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

"""What is wrong in a configuration.

oslo.config ignores what it does not know, so that a misspelt option is
silently without effect. Here each section and each option that the files
hold is compared with what is known, and the nearest known name is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import difflib
import functools
import importlib.metadata
import re

from oslo_config import cfg

from backupkit.conf import loading
from backupkit.conf import opts
from backupkit import errors

#: Libraries whose options may stand in our files too.
_LIBRARIES = ('oslo.log', 'oslo.concurrency')
#: Sections of privsep contexts, which whoever declares one names; reading
#: the options of oslo.privsep would import an installed eventlet.
_CONTEXT = 'privsep'
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,62}')
_KINDS = {'backend': 'enabled_backends', 'target': 'enabled_targets'}

#: Returns what a section of a kind (``backend`` or ``target``) may hold if
#: it names this driver, or raises ConfigurationError.
DriverOptions = Callable[[str, str], Sequence[cfg.Opt]]


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: an ``error`` or a ``warning``.

    ``option`` is empty where the section itself is meant, ``cure`` where
    the message tells all.
    """

    severity: str
    section: str
    option: str
    message: str
    cure: str = ''

    def __str__(self) -> str:
        place = f'[{self.section}] {self.option}'.rstrip()
        cure = f'; {self.cure}' if self.cure else ''
        return f'{place}: {self.message}{cure}'


_error = functools.partial(Problem, 'error')
_warning = functools.partial(Problem, 'warning')


def problems(
    conf: cfg.ConfigOpts, driver_options: DriverOptions | None = None
) -> list[Problem]:
    """Compare all that the files of a loaded configuration hold.

    The options of drivers are registered on the way, as the loader does.

    :param driver_options: without it, what the sections of backends and
        targets hold is not judged
    """
    return list(_Comparison(conf, driver_options).found())


def check(
    conf: cfg.ConfigOpts, driver_options: DriverOptions | None = None
) -> None:
    """Refuse a configuration that has errors; warnings pass.

    :raises errors.ConfigurationError: tells the first of them
    """
    found = [
        problem
        for problem in problems(conf, driver_options)
        if problem.severity == 'error'
    ]
    if not found:
        return
    more = len(found) - 1
    others = f' ({more} more: backupkit config validate)' if more else ''
    raise errors.ConfigurationError(f'{found[0]}{others}')


class _Comparison:
    """The files of one configuration beside the options that exist."""

    def __init__(
        self, conf: cfg.ConfigOpts, driver_options: DriverOptions | None
    ) -> None:
        self._conf = conf
        self._driver_options = driver_options
        self._written = loading.sections(conf)
        self._known: dict[str, list[cfg.Opt]] = {
            str(group): list(group_opts)
            for group, group_opts in opts.list_opts()
        }

    def found(self) -> Iterator[Problem]:
        for kind, option in _KINDS.items():
            yield from self._enabled(kind, option)
        yield from self._default_target()
        yield from self._used_backends()
        others = []
        for section in self._written:
            kind, colon, name = section.partition(':')
            if colon and kind in _KINDS:
                yield from self._driver(section, kind, name)
            else:
                others.append(section)
        # Last, when all options are known: one may be in a wrong section.
        for section in others:
            yield from self._section(section)
        for section, section_opts in self._known.items():
            yield from self._values(section, section_opts)

    def _enabled(self, kind: str, option: str) -> Iterator[Problem]:
        wrong = functools.partial(_error, 'DEFAULT', option)
        sections = {_home(section) for section in self._written}
        seen: set[str] = set()
        for name in self._conf[option]:
            section = _home(f'{kind}:{name}')
            if not _NAME.fullmatch(name):
                yield wrong(
                    f'{name!r} is no name for a {kind}',
                    'use letters, digits, ".", "_" and "-"',
                )
            elif section in seen:
                yield wrong(f'{name} is there twice')
            elif section not in sections:
                yield wrong(
                    f'there is no section [{kind}:{name}]',
                    _nearest(f'{kind}:{name}', self._written, '[{}]')
                    or 'add it, with a line "driver = ..."',
                )
            seen.add(section)

    def _default_target(self) -> Iterator[Problem]:
        target = self._conf.default_target
        enabled = self._conf.enabled_targets
        if target and target not in enabled:
            yield _error(
                'DEFAULT',
                'default_target',
                f'{target} is not in enabled_targets',
                _nearest(target, enabled),
            )

    def _uses(self) -> Iterator[tuple[str, str]]:
        """Yield each enabled target's section and the backend it uses.

        A target that keeps its backups on a backend names it in an option
        that is called so, whatever its driver.
        """
        targets = self._conf.enabled_targets
        enabled = {_home(f'target:{one}') for one in targets}
        for section, options in self._written.items():
            if _home(section) in enabled and options.get('backend'):
                yield section, options['backend'][-1]

    def _used_backends(self) -> Iterator[Problem]:
        sections = {_home(section) for section in self._written}
        for section, name in self._uses():
            if _home(f'backend:{name}') not in sections:
                yield _error(
                    section,
                    'backend',
                    f'there is no section [backend:{name}]',
                    _nearest(f'backend:{name}', self._written, '[{}]')
                    or 'add it, with a line "driver = ..."',
                )

    def _driver(self, section: str, kind: str, name: str) -> Iterator[Problem]:
        """Judge the section of a backend or target."""
        option = _KINDS[kind]
        used = {one.lower() for one in self._conf[option]}
        if kind == 'backend':
            used |= {one.lower() for _, one in self._uses()}
        if name.lower() not in used:
            yield _warning(
                section,
                '',
                'this section is not used',
                f'add {name} to {option}, or take the section away',
            )
            return
        if self._driver_options is None:
            return
        driver = self._written[section].get('driver', [''])[-1]
        if not driver:
            yield _error(
                section,
                'driver',
                'no driver is named',
                'see "backupkit driver list"',
            )
            return
        try:
            section_opts = list(self._driver_options(kind, driver))
        except errors.ConfigurationError as error:
            yield _error(section, 'driver', str(error))
            return
        self._conf.register_opts(section_opts, group=section)
        self._known[section] = section_opts
        yield from self._options(section, _names(section_opts))

    def _section(self, section: str) -> Iterator[Problem]:
        """Judge a section that is neither a backend's nor a target's."""
        if section.lower().startswith(_CONTEXT):
            return
        names = _names(self._known.get(_home(section), ()))
        if set(self._written[section]) - names or not names:
            names |= _library_options().get(_home(section), set())
        if names:
            yield from self._options(section, names)
            return
        enabled = [
            f'{kind}:{name}'
            for kind, option in _KINDS.items()
            for name in self._conf[option]
        ]
        yield _error(
            section,
            '',
            'there is no such section',
            _nearest(section, [*self._known, *enabled], '[{}]'),
        )

    def _options(self, section: str, names: set[str]) -> Iterator[Problem]:
        for option in self._written[section]:
            if option not in names:
                yield _error(
                    section,
                    option,
                    'there is no such option',
                    self._owner(option) or _nearest(option, names),
                )

    def _owner(self, option: str) -> str:
        for section, section_opts in self._known.items():
            if option in _names(section_opts):
                return f'it belongs to the section [{section}]'
        return ''

    def _values(
        self, section: str, section_opts: Iterable[cfg.Opt]
    ) -> Iterator[Problem]:
        conf = self._conf
        group = conf if section == 'DEFAULT' else conf[section]
        for opt in section_opts:
            try:
                value = group[opt.dest]
            except (cfg.Error, ValueError) as error:
                # The type's own words stand in what oslo.config wrapped;
                # they quote the value.
                told = '' if opt.secret else str(error.__context__ or error)
                yield _error(
                    section, opt.dest, 'this is not a valid value', told
                )
                continue
            if opt.required and value in (None, ''):
                yield _error(section, opt.dest, 'this option is required')


def _home(section: str) -> str:
    """Return a section's name as oslo.config compares it."""
    return section if section == 'DEFAULT' else section.lower()


def _names(section_opts: Iterable[cfg.Opt]) -> set[str]:
    """Return every name, old ones too, that options may have in a file."""
    names: set[str] = set()
    for opt in section_opts:
        names.add(opt.dest)
        names.update(old.name for old in opt.deprecated_opts if old.name)
    return names


@functools.cache
def _library_options() -> dict[str, set[str]]:
    """Return the options of the libraries that we are built on.

    Looked up only where a file holds what is not ours: it costs imports.
    """
    found: dict[str, set[str]] = {'DEFAULT': {'config_source'}}
    points = importlib.metadata.entry_points(group='oslo.config.opts')
    for point in points:
        if point.name not in _LIBRARIES:
            continue
        for group, group_opts in point.load()():
            section = _home(str(group or 'DEFAULT'))
            found.setdefault(section, set()).update(_names(group_opts))
    return found


def _nearest(name: str, names: Iterable[str], form: str = '{}') -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f'did you mean {form.format(close[0])}?' if close else ''

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

"""The project's rules that a program can check.

======  ==============================================================
BK101   a package imports only what the import table lets it
BK102   some libraries are used by one package only
BK103   programs are run, and privilege is asked for, in few places
BK104   no global configuration object below the flows
BK105   a log call gets its arguments, not a formatted text
BK106   the library does not print
BK107   no module is named after nothing
BK108   modules are imported, not names
BK109   functions have a limit in lines and in positional parameters
BK110   a suppressed check says why on the same line
======  ==============================================================

The rules themselves are explained in ``HACKING.rst``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
import functools
import importlib.machinery
import pathlib
import re

Finding = tuple[int, int, str]

#: What each part of the project may import of the others. A part is the
#: second name of a module of ``backupkit``, or ``plugins``; it may always
#: import itself.
IMPORT_TABLE: dict[str, frozenset[str]] = {
    'model': frozenset({'errors'}),
    'errors': frozenset(),
    'version': frozenset(),
    'hacking': frozenset(),
    'conf': frozenset({'errors'}),
    'copy': frozenset({'model', 'errors'}),
    'drivers': frozenset({'model', 'errors', 'copy'}),
    'repository': frozenset({'model', 'errors', 'copy', 'drivers'}),
    'catalog': frozenset({'model', 'errors'}),
    'privileged': frozenset({'errors', 'conf.mounts'}),
    'mounts': frozenset({'model', 'errors', 'conf', 'privileged'}),
    'testing': frozenset(
        {'model', 'errors', 'copy', 'drivers', 'repository', 'conf'}
    ),
    'flows': frozenset(
        {'model', 'errors', 'copy', 'drivers', 'repository', 'catalog'}
        | {'privileged'}
    ),
    'api': frozenset(
        {'model', 'errors', 'copy', 'drivers', 'repository', 'catalog'}
        | {'flows', 'conf', 'doctor', 'mounts', 'testing', 'version'}
    ),
    'doctor': frozenset(
        {'model', 'errors', 'copy', 'drivers', 'repository', 'catalog'}
        | {'flows', 'conf', 'mounts', 'privileged', 'version'}
    ),
    'cli': frozenset({'api', 'conf', 'copy', 'errors', 'model', 'version'}),
    'plugins': frozenset(
        {'model', 'errors', 'copy', 'drivers', 'repository', 'privileged'}
        | {'mounts'}
    ),
}

#: Libraries that only some files may import, by their paths' beginnings.
CONFINED = {
    'stevedore': ('backupkit/drivers/loader.py',),
    'taskflow': ('backupkit/flows/',),
    'sqlalchemy': ('backupkit/catalog/',),
    'alembic': ('backupkit/catalog/',),
    'cliff': ('backupkit/cli/',),
    'rich': ('backupkit/cli/',),
    'oslo_privsep': ('backupkit/privileged/',),
}

#: Files that may run programs or ask for privilege.
PRIVILEGED = ('backupkit/privileged/', 'backupkit/copy/qemu.py')

#: Where options reach the code as arguments, never through ``cfg.CONF``.
WITHOUT_CONF = (
    'backupkit/copy/',
    'backupkit/drivers/',
    'backupkit/repository/',
    'backupkit_plugins/',
)

#: Modules whose names may be imported as they are.
NAMES_ALLOWED = frozenset(
    {'__future__', 'collections.abc', 'dataclasses', 'typing'}
)

MAX_LINES = 60
MAX_POSITIONAL = 5

_EMPTY_NAMES = frozenset(
    {'common', 'helper', 'helpers', 'manager', 'managers', 'misc', 'util'}
    | {'utils'}
)
_EMPTY_SUFFIXES = ('_common', '_helpers', '_utils')
_LOG_METHODS = frozenset(
    {'critical', 'debug', 'error', 'exception', 'info', 'log', 'trace'}
    | {'warning'}
)
_RUNNERS = re.compile(
    r'^(subprocess|pty|oslo_concurrency\.processutils'
    r'|asyncio\.create_subprocess_\w+'
    r'|os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*|set\w*[ug]id))\b'
)
_SUPPRESSION = re.compile(
    r'#\s*(noqa\b|type:\s*ignore|pragma: no (?:cover|branch))'
    r'(:?\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*|\[[\w\-, ]+\])?'
    r'(?P<reason>.*)$'
)


@functools.cache
def _spec(module: str) -> importlib.machinery.ModuleSpec | None:
    """Find a module without importing its parents."""
    path: Sequence[str] | None = None
    spec = None
    parts = module.split('.')
    for number, part in enumerate(parts):
        if number and path is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(part, path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


def _is_module(parent: str, name: str) -> bool:
    spec = _spec(parent)
    if spec is None:
        # Not to be seen from here: modules have lower-case names.
        return name == name.lower()
    if spec.submodule_search_locations is None:
        return False
    return _spec(f'{parent}.{name}') is not None


def _part(module: str) -> str | None:
    """Return the part of the project that a module belongs to."""
    names = module.split('.')
    if names[0] == 'backupkit_plugins':
        return 'plugins'
    if names[0] == 'backupkit' and len(names) > 1:
        return names[1]
    return None


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield the full names that an import statement brings."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            yield f'{node.module}.{alias.name}'


def _dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for such an expression, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        parent = _dotted(node.value)
        return f'{parent}.{node.attr}' if parent else ''
    return ''


def _formatted(node: ast.expr) -> bool:
    """Tell whether an expression puts a text together."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod | ast.Add)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and (
            node.func.attr == 'format'
        )
    return isinstance(node, ast.JoinedStr)


class Checker:
    """The flake8 plugin of all checks."""

    name = 'backupkit'
    version = '1'

    def __init__(
        self, tree: ast.AST, filename: str, lines: Sequence[str]
    ) -> None:
        self._tree = tree
        self._lines = lines
        self._path = pathlib.PurePath(filename).as_posix().removeprefix('./')
        module = self._path.removesuffix('.py').removesuffix('/__init__')
        self._module = module.replace('/', '.')
        self._shipped = self._path.startswith(
            ('backupkit/', 'backupkit_plugins/')
        )

    def run(self) -> Iterator[tuple[int, int, str, type[Checker]]]:
        """Yield what is wrong in this file."""
        for line, column, text in self._findings():
            yield line, column, text, type(self)

    def _findings(self) -> Iterator[Finding]:
        yield from self._suppressions()
        if self._shipped:
            yield from self._file_name()
        for node in ast.walk(self._tree):
            for text in self._of_node(node):
                yield node.lineno, node.col_offset, text  # type: ignore[attr-defined] # every node with a finding has a place

    def _of_node(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from self._import(node)
        elif isinstance(node, ast.Call):
            yield from self._call(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from self._function(node)
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.ImportFrom):
            yield from self._names(node)
        if not self._shipped:
            return
        for name in _imports(node):
            yield from self._table(name)
            yield from self._confined(name)
            if _RUNNERS.match(name) and not self._path.startswith(PRIVILEGED):
                yield f'BK103 {name} outside the privileged package'

    def _names(self, node: ast.ImportFrom) -> Iterator[str]:
        if node.level:
            yield 'BK108 import by the full name of the module'
        elif node.module and node.module not in NAMES_ALLOWED:
            for alias in node.names:
                if not _is_module(node.module, alias.name):
                    yield (
                        f'BK108 import the module {node.module}, '
                        f'not its {alias.name}'
                    )

    def _table(self, name: str) -> Iterator[str]:
        ours, theirs = _part(self._module), _part(name)
        if theirs is None or theirs == ours:
            return
        if ours is None:
            yield f'BK101 {self._module} imports nothing of ours'
        elif ours not in IMPORT_TABLE:
            yield f'BK101 {ours} is not in the import table'
        elif not any(
            f'{name}.'.startswith(f'backupkit.{allowed}.')
            for allowed in IMPORT_TABLE[ours]
        ):
            yield f'BK101 {ours} must not import {theirs} ({name})'

    def _confined(self, name: str) -> Iterator[str]:
        library = name.split('.')[0]
        places = CONFINED.get(library)
        if places and not self._path.startswith(places):
            yield f'BK102 {library} is for {", ".join(places)} only'

    def _call(self, node: ast.Call) -> Iterator[str]:
        called = _dotted(node.func)
        if self._shipped and called == 'print':
            yield 'BK106 the library does not print'
        if self._shipped and not self._path.startswith(PRIVILEGED):
            yield from self._privilege(called, node)
        logger, _, method = called.rpartition('.')
        if logger.upper().endswith('LOG') and method in _LOG_METHODS:
            texts = node.args[1:2] if method == 'log' else node.args[:1]
            if any(_formatted(text) for text in texts):
                yield 'BK105 give the arguments to the log call'

    def _privilege(self, called: str, node: ast.Call) -> Iterator[str]:
        if _RUNNERS.match(called):
            yield f'BK103 {called} outside the privileged package'
        for keyword in node.keywords:
            if keyword.arg in ('run_as_root', 'root_helper'):
                yield f'BK103 {keyword.arg} outside the privileged package'

    def _attribute(self, node: ast.Attribute) -> Iterator[str]:
        if _dotted(node) == 'cfg.CONF' and self._path.startswith(WITHOUT_CONF):
            yield 'BK104 options come as arguments, not from cfg.CONF'

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> Iterator[str]:
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MAX_LINES:
            yield f'BK109 {node.name} has {length} lines, over {MAX_LINES}'
        names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
        count = len(names) - (names[:1] in (['self'], ['cls']))
        if count > MAX_POSITIONAL:
            yield f'BK109 {node.name} has {count} positional parameters'

    def _file_name(self) -> Iterator[Finding]:
        for name in self._module.split('.'):
            if name in _EMPTY_NAMES or name.endswith(_EMPTY_SUFFIXES):
                yield 1, 0, f'BK107 {name} does not say what is in it'

    def _suppressions(self) -> Iterator[Finding]:
        for number, line in enumerate(self._lines, 1):
            match = _SUPPRESSION.search(line)
            if match and not re.search(r'\w', match['reason']):
                yield number, match.start(), 'BK110 say why it is suppressed'

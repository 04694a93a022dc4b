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

import ast
import pathlib
import textwrap
import unittest

from backupkit.hacking import checks

ROOT = pathlib.Path(__file__).parents[3]


def codes(source: str, path: str = 'backupkit/copy/pipeline.py') -> list[str]:
    """Return the codes of what is found in a source, in order of lines."""
    source = textwrap.dedent(source)
    checker = checks.Checker(ast.parse(source), path, source.splitlines())
    found = sorted(checker.run(), key=lambda finding: finding[:2])
    return [text.split()[0] for _, _, text, _ in found]


class ImportTableTest(unittest.TestCase):
    def test_when_the_table_allows_it_then_nothing_is_found(self) -> None:
        source = """
            from backupkit import errors
            from backupkit import model
            from backupkit.copy import control
        """
        self.assertEqual([], codes(source))

    def test_when_imports_point_the_data_way_then_each_is_found(self) -> None:
        source = """
            from backupkit.drivers import store
            from backupkit import catalog
            import backupkit.flows.backup
        """
        self.assertEqual(['BK101'] * 3, codes(source))

    def test_when_core_imports_the_plugins_then_it_is_found(self) -> None:
        for part in ('flows/backup', 'api', 'testing/faults', 'cli/backup'):
            with self.subTest(part):
                self.assertEqual(
                    ['BK101'],
                    codes(
                        'import backupkit_plugins.volumes',
                        f'backupkit/{part}.py',
                    ),
                )

    def test_when_a_plugin_uses_the_contract_then_it_is_free(self) -> None:
        source = """
            from backupkit.drivers import store
            import backupkit.repository.target
            import backupkit_plugins.targets
        """
        path = 'backupkit_plugins/targets/posix.py'
        self.assertEqual([], codes(source, path))
        self.assertEqual(
            ['BK101'], codes('from backupkit import catalog', path)
        )

    def test_when_one_module_of_a_part_is_allowed_then_only_it(self) -> None:
        path = 'backupkit/privileged/mounts.py'
        self.assertEqual([], codes('import backupkit.conf.mounts', path))
        self.assertEqual(['BK101'], codes('import backupkit.conf.opts', path))

    def test_when_a_module_name_begins_alike_then_it_is_not_it(self) -> None:
        self.assertEqual(['BK101'], codes('import backupkit.models'))

    def test_when_the_package_itself_imports_then_it_is_found(self) -> None:
        self.assertEqual(
            ['BK101'],
            codes('from backupkit import model', 'backupkit/__init__.py'),
        )

    def test_when_a_part_is_not_in_the_table_then_it_is_found(self) -> None:
        self.assertEqual(
            ['BK101'], codes('import backupkit.model', 'backupkit/new/x.py')
        )

    def test_when_tests_import_then_the_table_is_not_theirs(self) -> None:
        source = 'import backupkit_plugins.volumes\nimport sqlalchemy'
        self.assertEqual([], codes(source, 'tests/unit/copy/test_x.py'))

    def test_when_the_table_is_read_then_every_part_is_in_it(self) -> None:
        parts = {
            path.stem
            for path in (ROOT / 'backupkit').iterdir()
            if path.suffix == '.py' or (path / '__init__.py').exists()
        }
        self.assertEqual(
            set(), parts - {'__init__'} - set(checks.IMPORT_TABLE)
        )

    def test_when_the_table_is_followed_then_there_is_no_circle(self) -> None:
        graph = {
            part: {name.split('.')[0] for name in allowed}
            for part, allowed in checks.IMPORT_TABLE.items()
        }
        while graph:
            leaves = {part for part, uses in graph.items() if not uses}
            self.assertNotEqual(set(), leaves, graph)
            graph = {
                part: uses - leaves
                for part, uses in graph.items()
                if part not in leaves
            }


class ConfinedLibraryTest(unittest.TestCase):
    PLACES = (
        ('stevedore', 'drivers/loader.py', 'drivers/store.py'),
        ('taskflow.engines', 'flows/backup.py', 'api.py'),
        ('sqlalchemy.orm', 'catalog/models.py', 'flows/tasks.py'),
        ('alembic', 'catalog/upgrade.py', 'cli/catalog.py'),
        ('cliff.lister', 'cli/backup.py', 'api.py'),
        ('oslo_privsep', 'privileged/__init__.py', 'drivers/volume.py'),
    )

    def test_when_it_is_at_home_then_nothing_is_found(self) -> None:
        for library, home, _ in self.PLACES:
            with self.subTest(library):
                self.assertEqual(
                    [], codes(f'import {library}', f'backupkit/{home}')
                )

    def test_when_it_is_elsewhere_then_it_is_found(self) -> None:
        for library, _, abroad in self.PLACES:
            with self.subTest(library):
                self.assertEqual(
                    ['BK102'],
                    codes(f'import {library}', f'backupkit/{abroad}'),
                )

    def test_when_a_name_begins_alike_then_it_is_not_it(self) -> None:
        self.assertEqual([], codes('import richer', 'backupkit/api.py'))


class PrivilegeTest(unittest.TestCase):
    SOURCES = (
        'import subprocess',
        'from oslo_concurrency import processutils',
        'import os\nos.system("true")',
        'import os\nos.execvp("true", [])',
        'import os\nos.posix_spawn("true", [], {})',
        'import os\nos.setresuid(0, 0, 0)',
        'import asyncio\nasyncio.create_subprocess_exec("true")',
        'run("mount", run_as_root=True)',
        'Connector(root_helper="x")',
    )

    def test_when_outside_the_package_then_each_is_found(self) -> None:
        for path in ('backupkit/copy/x.py', 'backupkit_plugins/targets/n.py'):
            for source in self.SOURCES:
                with self.subTest(source, path=path):
                    self.assertEqual(['BK103'], codes(source, path))

    def test_when_inside_the_package_then_they_are_free(self) -> None:
        for source in self.SOURCES:
            with self.subTest(source):
                self.assertEqual(
                    [], codes(source, 'backupkit/privileged/mounts.py')
                )

    def test_when_a_call_only_looks_alike_then_it_is_free(self) -> None:
        self.assertEqual([], codes('import os\nos.getuid()\nos.open(p, 0)'))


class ConfigurationTest(unittest.TestCase):
    SOURCE = """
        from oslo_config import cfg

        def open_():
            return cfg.CONF.state_path
    """

    def test_when_below_the_flows_then_the_global_is_found(self) -> None:
        for path in (
            'backupkit/copy/x.py',
            'backupkit/drivers/x.py',
            'backupkit/repository/x.py',
            'backupkit_plugins/volumes/x.py',
        ):
            with self.subTest(path):
                self.assertEqual(['BK104'], codes(self.SOURCE, path))

    def test_when_options_are_only_defined_then_it_is_free(self) -> None:
        source = """
            from oslo_config import cfg

            OPTS = [cfg.StrOpt('storage_pool')]
        """
        self.assertEqual([], codes(source, 'backupkit/drivers/x.py'))

    def test_when_in_the_flows_then_the_global_is_free(self) -> None:
        self.assertEqual([], codes(self.SOURCE, 'backupkit/cli/main.py'))


class LogTest(unittest.TestCase):
    def test_when_a_text_is_put_together_then_it_is_found(self) -> None:
        for text in ('f"{x}"', '"%s" % x', '"{}".format(x)', '"a" + x'):
            with self.subTest(text):
                self.assertEqual(['BK105'], codes(f'LOG.info({text})'))
                self.assertEqual(['BK105'], codes(f'LOG.log(20, {text})'))
                self.assertEqual(['BK105'], codes(f'self._log.error({text})'))

    def test_when_arguments_are_given_then_it_is_free(self) -> None:
        self.assertEqual([], codes('LOG.info("%s is at %s", x, f"{y}")'))

    def test_when_it_is_not_a_log_then_it_is_free(self) -> None:
        self.assertEqual([], codes('window.info(f"{x}")\nLOG.isEnabledFor(1)'))


class PrintTest(unittest.TestCase):
    def test_when_the_library_prints_then_it_is_found(self) -> None:
        self.assertEqual(['BK106'], codes('print(1)', 'backupkit/cli/demo.py'))

    def test_when_a_tool_prints_then_it_is_free(self) -> None:
        self.assertEqual([], codes('print(1)', 'tests/bench/__main__.py'))
        self.assertEqual([], codes('console.print(1)', 'backupkit/cli/x.py'))


class ModuleNameTest(unittest.TestCase):
    def test_when_the_name_says_nothing_then_it_is_found(self) -> None:
        for path in (
            'backupkit/utils.py',
            'backupkit/copy/helpers.py',
            'backupkit/common/__init__.py',
            'backupkit/drivers/manager.py',
            'backupkit_plugins/volumes/nfs_utils.py',
        ):
            with self.subTest(path):
                self.assertEqual(['BK107'], codes('', path))

    def test_when_the_name_says_something_then_it_is_free(self) -> None:
        self.assertEqual([], codes('', 'backupkit/drivers/loader.py'))

    def test_when_flake8_writes_the_path_its_way_then_it_counts(self) -> None:
        self.assertEqual(['BK107'], codes('', './backupkit/utils.py'))


class NameImportTest(unittest.TestCase):
    def test_when_modules_are_imported_then_it_is_free(self) -> None:
        source = """
            from __future__ import annotations

            from collections.abc import Iterator
            from concurrent import futures
            from dataclasses import dataclass
            import os.path
            from typing import Any
            from unittest import mock

            from oslo_config import cfg
            from backupkit import model
        """
        self.assertEqual([], codes(source))

    def test_when_names_are_imported_then_each_is_found(self) -> None:
        source = """
            from pathlib import Path
            from os import getcwd
            from backupkit.model import Extent
            from not_installed import Thing
        """
        self.assertEqual(['BK108'] * 4, codes(source))

    def test_when_the_module_is_not_installed_then_case_decides(self) -> None:
        self.assertEqual([], codes('from not_installed import thing'))

    def test_when_an_import_is_relative_then_it_is_found(self) -> None:
        self.assertEqual(['BK108'], codes('from . import control'))


class FunctionTest(unittest.TestCase):
    def test_when_longer_than_the_limit_then_it_is_found(self) -> None:
        body = '    pass\n' * checks.MAX_LINES
        self.assertEqual(['BK109'], codes(f'def function():\n{body}'))
        self.assertEqual(['BK109'], codes(f'async def function():\n{body}'))

    def test_when_just_within_the_limit_then_it_is_free(self) -> None:
        body = '    pass\n' * (checks.MAX_LINES - 1)
        self.assertEqual([], codes(f'def function():\n{body}'))

    def test_when_it_takes_too_many_then_it_is_found(self) -> None:
        self.assertEqual(['BK109'], codes('def f(a, b, c, d, e, g): ...'))
        self.assertEqual(['BK109'], codes('def f(a, b, c, /, d, e, g): ...'))

    def test_when_the_rest_are_keywords_then_it_is_free(self) -> None:
        self.assertEqual([], codes('def f(self, a, b, c, d, e, *, g): ...'))


class SuppressionTest(unittest.TestCase):
    def test_when_no_reason_is_given_then_each_is_found(self) -> None:
        for comment in (
            'noqa',
            'noqa: BLE001',
            'noqa: E501, BLE001',
            'type: ignore',
            'type: ignore[attr-defined]',
            'pragma: no cover',
        ):
            with self.subTest(comment):
                self.assertEqual(['BK110'], codes(f'x = 1  # {comment}'))

    def test_when_a_reason_is_given_then_it_is_free(self) -> None:
        for comment in (
            'noqa: BLE001 - the one edge of the engine',
            'type: ignore[attr-defined] # made at run time',
            'pragma: no cover - only in the child process',
        ):
            with self.subTest(comment):
                self.assertEqual([], codes(f'x = 1  # {comment}'))

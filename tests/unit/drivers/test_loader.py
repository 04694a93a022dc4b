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


"""Tests of drivers being loaded by name."""

import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any
import unittest

from backupkit.drivers import loader
from backupkit.drivers import store
from backupkit.drivers import volume
from backupkit import errors
from backupkit.testing.memory import target as memory_target
from backupkit.testing.memory import volume as memory_volume
from backupkit.testing import sections
from tests.unit.drivers import distributions

OPTIONS = """
    @classmethod
    def get_options(cls):
        return [
            cfg.StrOpt('place', required=True, help='Where it is.'),
            cfg.IntOpt('count', min=1, max=3, default=2),
            cfg.StrOpt('color', choices=['red', 'blue']),
            cfg.IntOpt('pin', secret=True),
        ]
"""


class LoadTest(unittest.TestCase):
    def setUp(self) -> None:
        self.installed = distributions.Distributions(self)

    def load(self, driver: str, **options: Any) -> volume.VolumeDriver:
        return sections.load_volume_driver(driver, **options)

    def assert_driver_error(self, pattern: str, driver: str) -> None:
        with self.assertRaisesRegex(errors.DriverError, pattern):
            self.load(driver)

    def test_load_when_installed_then_gets_name_and_section(self) -> None:
        self.installed.install('own', distributions.DRIVER)
        loaded = self.load('own', name='fast')
        self.assertEqual('fast', loaded.name)
        self.assertEqual('own', loaded.section.driver)

    def test_load_when_in_tree_then_found_as_a_strangers(self) -> None:
        self.assertIs(
            memory_volume.MemoryVolumeDriver, type(self.load('memory'))
        )
        self.assertIs(
            memory_target.MemoryTarget, type(sections.load_target('memory'))
        )

    def test_load_when_loaded_again_then_works(self) -> None:
        source = (
            'from oslo_config import cfg\n'
            + distributions.DRIVER
            + """
    @classmethod
    def get_options(cls):
        return [cfg.Opt('odd', type=lambda text: text, default='1')]
"""
        )
        self.installed.install('odd', source)
        conf = sections.configuration({'backend:a': {'driver': 'odd'}})
        first = loader.load_volume_driver(conf, 'a')
        second = loader.load_volume_driver(conf, 'a')
        self.assertEqual('1', first.section.odd)
        self.assertIsNot(first, second)

    def test_load_when_unknown_then_names_the_nearest(self) -> None:
        self.assert_driver_error(
            r"\[backend:test\].*'memroy', is 'memory' meant\?.*file, memory",
            'memroy',
        )

    def test_load_when_nothing_is_near_then_lists_all(self) -> None:
        self.assert_driver_error(
            r"'zzz'; installed are: .*file, memory", 'zzz'
        )

    def test_load_when_two_offer_it_then_names_both(self) -> None:
        self.installed.install('own', name='first')
        self.installed.install('own', 'raise SystemExit', name='second')
        self.assert_driver_error(
            r"'own' is offered by first 3.1 .* and second 3.1 .*uninstall",
            'own',
        )

    def test_load_when_kinds_differ_then_names_do_not_clash(self) -> None:
        self.installed.install('own', name='first')
        self.installed.install(
            'own', name='second', namespace='backupkit.targets'
        )
        self.assertEqual('test', self.load('own').name)

    def test_load_when_import_fails_then_names_plugin_and_cause(self) -> None:
        for number, (source, cause) in enumerate(
            [
                ('import absent_library', 'ModuleNotFoundError: .*absent_lib'),
                ('1 / 0', 'ZeroDivisionError'),
                ('def def', 'SyntaxError'),
                ('assert False, "why"', 'AssertionError: why'),
                ('raise SystemExit(3)', 'SystemExit: 3'),
                ('', "AttributeError: .*'Driver'"),
            ]
        ):
            with self.subTest(source=source):
                self.installed.install(
                    f'bad{number}', source, name=f'stranger{number}'
                )
                self.assert_driver_error(
                    f"'bad{number}' of stranger{number} 3.1 fails: {cause}",
                    f'bad{number}',
                )

    def test_load_when_another_is_broken_then_works(self) -> None:
        self.installed.install('bad', 'raise SystemExit')
        self.assertEqual('test', self.load('memory').name)

    def test_load_when_not_named_then_is_not_imported(self) -> None:
        module = self.installed.install('own')
        self.load('memory')
        self.assertNotIn(module, sys.modules)

    def test_load_when_no_driver_then_refused(self) -> None:
        self.installed.install('own', 'class Driver: pass')
        self.assert_driver_error('is no subclass of VolumeDriver', 'own')

    def test_load_when_a_function_then_refused(self) -> None:
        self.installed.install('own', 'def Driver(): pass')
        self.assert_driver_error('is no subclass of VolumeDriver', 'own')

    def test_load_when_of_the_other_kind_then_refused(self) -> None:
        self.installed.install('own', namespace='backupkit.targets')
        with self.assertRaisesRegex(errors.DriverError, 'subclass of Target'):
            sections.load_target('own')

    def test_load_when_methods_are_missing_then_names_them(self) -> None:
        source = distributions.DRIVER.replace('attach_volume = detach = ', '')
        self.installed.install('own', source)
        self.assert_driver_error('it lacks attach_volume, detach', 'own')

    def test_load_when_contract_differs_then_refused(self) -> None:
        for number, (version, problem) in enumerate(
            [
                ("'2.0'", 'written for contract 2.0, this backupkit has 1.0'),
                ("'1.7'", 'written for contract 1.7, this backupkit has 1.0'),
                ("'0.9'", 'written for contract 0.9'),
                ("''", 'states no contract_version'),
                ('None', 'states no contract_version'),
                ('1.0', 'states no contract_version'),
                ("'new'", "'new' is not of the form 1.0"),
                ("'1.0.0'", 'is not of the form 1.0'),
            ]
        ):
            with self.subTest(version=version):
                self.installed.install(
                    f'own{number}',
                    distributions.DRIVER.replace("'1.0'", version),
                    name=f'stranger{number}',
                )
                self.assert_driver_error(problem, f'own{number}')

    def test_load_when_constructor_fails_then_names_plugin(self) -> None:
        source = distributions.DRIVER + (
            '    def __init__(self, name, section):\n        1 / 0\n'
        )
        self.installed.install('own', source)
        self.assert_driver_error('stranger 3.1 fails: ZeroDivision', 'own')

    def test_load_when_options_fail_then_names_plugin(self) -> None:
        source = distributions.DRIVER + (
            '    @classmethod\n    def get_options(cls):\n        return [1]\n'
        )
        self.installed.install('own', source)
        self.assert_driver_error('stranger 3.1 fails: Attribute', 'own')

    def test_load_when_option_is_taken_then_names_plugin(self) -> None:
        source = (
            'from oslo_config import cfg\n'
            'from backupkit.testing.memory import target\n'
            'class Driver(target.MemoryTarget):\n'
            '    @classmethod\n'
            '    def get_options(cls):\n'
            "        return [cfg.IntOpt('read_only')]\n"
        )
        self.installed.install('own', source, namespace='backupkit.targets')
        with self.assertRaisesRegex(
            errors.DriverError, 'stranger 3.1 fails: .*read_only'
        ):
            sections.load_target('own')


class SectionTest(unittest.TestCase):
    def setUp(self) -> None:
        distributions.Distributions(self).install(
            'own',
            'from oslo_config import cfg\n' + distributions.DRIVER + OPTIONS,
        )

    def load(self, **options: Any) -> volume.VolumeDriver:
        return sections.load_volume_driver('own', **options)

    def assert_wrong(self, pattern: str, **options: Any) -> str:
        with self.assertRaisesRegex(
            errors.ConfigurationError, pattern
        ) as caught:
            self.load(**options)
        return str(caught.exception)

    def test_load_when_options_are_right_then_can_be_read(self) -> None:
        section = self.load(place='here', count=3).section
        self.assertEqual(('here', 3), (section.place, section.count))
        self.assertIsNone(section.color)

    def test_load_when_needed_option_is_missing_then_named(self) -> None:
        for options in ({}, {'place': ''}):
            self.assert_wrong(
                r'\[backend:test\] has no option place, which its driver '
                'needs: Where it is.',
                **options,
            )

    def test_load_when_type_is_wrong_then_option_is_named(self) -> None:
        self.assert_wrong(
            r"option count in section \[backend:test\] is wrong: .*'many'",
            place='here',
            count='many',
        )

    def test_load_when_out_of_bounds_then_option_is_named(self) -> None:
        self.assert_wrong('option count .*', place='here', count=4)

    def test_load_when_no_choice_then_choices_are_named(self) -> None:
        self.assert_wrong('option color.*red, blue', place='.', color='green')

    def test_load_when_reference_is_wrong_then_option_is_named(self) -> None:
        conf = sections.configuration({'backend:test': {'driver': 'own'}})
        loader.driver_options('backend', 'own')
        with self.assertRaisesRegex(errors.ConfigurationError, 'option place'):
            conf.register_opts(
                loader.driver_options('backend', 'own'), group='backend:test'
            )
            conf.set_override('place', '$absent', group='backend:test')
            loader.load_volume_driver(conf, 'test')

    def test_load_when_secret_is_wrong_then_not_shown(self) -> None:
        message = self.assert_wrong('option pin', place='.', pin='hunter2')
        self.assertNotIn('hunter2', message)

    def test_load_when_driver_is_missing_then_says_so(self) -> None:
        conf = sections.configuration({'backend:test': {'place': 'here'}})
        with self.assertRaisesRegex(
            errors.ConfigurationError,
            r'\[backend:test\] has no option driver: add .*memory, .*own',
        ):
            loader.load_volume_driver(conf, 'test')

    def test_load_when_section_is_missing_then_nearest_is_named(self) -> None:
        conf = sections.configuration({'backend:local': {'driver': 'own'}})
        with self.assertRaisesRegex(
            errors.ConfigurationError,
            r'no section \[backend:loacl\], is \[backend:local\] meant\?',
        ):
            loader.load_volume_driver(conf, 'loacl')

    def test_load_when_wrapper_option_is_wrong_then_named(self) -> None:
        wrong: list[tuple[str, Any]] = [
            ('read_only', 'perhaps'),
            ('max_bytes_per_second', '10M'),
            ('max_bytes_per_second', 3),
            ('retry_deadline_seconds', -1),
        ]
        for name, value in wrong:
            with self.assertRaisesRegex(
                errors.ConfigurationError, rf'option {name} .*\[target:test\]'
            ):
                sections.load_target('memory', **{name: value})

    def test_load_when_read_only_then_target_refuses_writes(self) -> None:
        target = sections.load_target('memory', read_only=True)
        assert isinstance(target, memory_target.MemoryTarget)
        with target.opened() as opened:
            self.assertIsInstance(opened, store.Store)
            with self.assertRaises(errors.TargetReadOnly):
                opened.put('a', [b''])


class ListTest(unittest.TestCase):
    def setUp(self) -> None:
        self.installed = distributions.Distributions(self)

    def listing(self, name: str) -> loader.DriverListing:
        return next(d for d in loader.list_drivers() if d.name == name)

    def test_list_when_installed_then_described(self) -> None:
        module = self.installed.install('own')
        self.assertEqual(
            loader.DriverListing(
                kind='volume',
                name='own',
                class_path=f'{module}:Driver',
                contract='1.0',
                ok=True,
                problem='',
                distribution='stranger 3.1',
                summary='Reaches nothing at all.',
            ),
            self.listing('own'),
        )

    def test_list_when_one_is_broken_then_others_are_listed(self) -> None:
        self.installed.install('bad', 'import absent_library')
        bad = self.listing('bad')
        self.assertFalse(bad.ok)
        self.assertIn('absent_library', bad.problem)
        self.assertEqual('stranger 3.1', bad.distribution)
        self.assertTrue(self.listing('memory').ok)

    def test_list_when_two_offer_it_then_told_once(self) -> None:
        self.installed.install('own', name='first')
        self.installed.install('own', name='second')
        found = [d for d in loader.list_drivers() if d.name == 'own']
        self.assertEqual(1, len(found))
        self.assertIn('first 3.1', found[0].problem)
        self.assertCountEqual(
            ['first 3.1', 'second 3.1'], found[0].distribution.split(', ')
        )

    def test_list_opts_when_one_is_broken_then_left_out(self) -> None:
        self.installed.install('bad', 'import absent_library')
        with self.assertLogs(loader.LOG, 'WARNING'):
            groups = dict(loader.list_opts())
        self.assertNotIn('backend:bad', groups)
        names = {option.name for option in groups['target:memory']}
        self.assertLessEqual({'driver', 'medium', 'read_only'}, names)
        names = {option.name for option in groups['backend:memory']}
        self.assertEqual({'driver', 'array'}, names)

    def test_options_when_unknown_then_driver_error(self) -> None:
        with self.assertRaisesRegex(errors.DriverError, 'target driver'):
            loader.driver_options('target', 'absent')


class CacheTest(unittest.TestCase):
    """The cache of entry points is a help, and never in the way."""

    def load(self, cache: str) -> None:
        script = (
            'from backupkit.testing import sections\n'
            "sections.load_volume_driver('memory')\n"
        )
        environment = os.environ | {'XDG_CACHE_HOME': cache}
        subprocess.run(
            [sys.executable, '-c', script], env=environment, check=True
        )

    def test_load_when_home_cannot_be_written_then_works(self) -> None:
        # Below a file nobody can write, whoever runs the test.
        self.load('/dev/null/cache')

    def test_load_when_cache_is_damaged_then_works(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            self.load(directory)
            files = list(pathlib.Path(directory).rglob('*'))
            for file in files:
                if file.is_file():
                    file.write_text('{"groups": {"backu')
            self.load(directory)

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

"""What is wrong in a configuration."""

from collections.abc import Sequence
import pathlib
import tempfile
import textwrap
import unittest

from oslo_config import cfg

from backupkit import conf
from backupkit.conf import opts
from backupkit import errors

_GOOD = """
    [DEFAULT]
    enabled_backends = local
    enabled_targets = repo
    default_target = repo
    [backend:local]
    driver = file
    volumes_dir = /srv/volumes
    [target:repo]
    driver = posix
    backup_posix_path = /srv/repo
"""
_OPTIONS: dict[tuple[str, str], list[cfg.Opt]] = {
    ('backend', 'file'): [
        cfg.StrOpt('driver'),
        cfg.StrOpt('volumes_dir', required=True),
        cfg.IntOpt('depth', min=1),
        cfg.IntOpt('pin', secret=True),
    ],
    ('target', 'posix'): [
        cfg.StrOpt('driver'),
        cfg.StrOpt(
            'backup_posix_path', deprecated_name='backup_path', required=True
        ),
    ],
    ('target', 'volume'): [
        cfg.StrOpt('driver'),
        cfg.StrOpt('backend', required=True),
    ],
}


def _driver_options(kind: str, driver: str) -> Sequence[cfg.Opt]:
    try:
        return _OPTIONS[kind, driver]
    except KeyError:
        raise errors.DriverError(f'no driver {driver}') from None


class ValidationTest(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = pathlib.Path(made.name, 'test.conf')

    def load(self, text: str) -> cfg.ConfigOpts:
        self.path.write_text(textwrap.dedent(text))
        return conf.load([str(self.path)])

    def found(self, text: str) -> list[str]:
        problems = conf.problems(self.load(text), _driver_options)
        return [f'{one.severity}: {one}' for one in problems]

    def test_when_all_is_well_then_nothing_is_found(self) -> None:
        self.assertEqual([], self.found(_GOOD))
        conf.check(self.load(_GOOD), _driver_options)

    def test_when_the_embedded_file_is_judged_then_it_is_well(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            text = conf.loading.EMBEDDED.read_text()
            text = text.replace(
                '[DEFAULT]', f'[DEFAULT]\nstate_path = {directory}'
            )
            self.assertEqual([], self.found(text))

    def test_when_an_option_is_misspelt_then_the_nearest_is_told(
        self,
    ) -> None:
        text = _GOOD.replace('volumes_dir', 'volume_dir')
        self.assertEqual(
            [
                'error: [backend:local] volume_dir: there is no such option; '
                'did you mean volumes_dir?',
                'error: [backend:local] volumes_dir: this option is required',
            ],
            self.found(text),
        )
        text = _GOOD.replace('default_target', 'defalt_target')
        self.assertEqual(
            [
                'error: [DEFAULT] defalt_target: there is no such option; '
                'did you mean default_target?'
            ],
            self.found(text),
        )

    def test_when_an_option_is_elsewhere_then_its_section_is_told(
        self,
    ) -> None:
        text = _GOOD + '    [catalog]\n    state_path = /x\n'
        self.assertEqual(
            [
                'error: [catalog] state_path: there is no such option; it '
                'belongs to the section [DEFAULT]'
            ],
            self.found(text),
        )

    def test_when_an_option_of_a_driver_stands_at_the_top_then_too(
        self,
    ) -> None:
        text = _GOOD.replace('[DEFAULT]', '[DEFAULT]\n    volumes_dir = /x')
        self.assertEqual(
            [
                'error: [DEFAULT] volumes_dir: there is no such option; it '
                'belongs to the section [backend:local]'
            ],
            self.found(text),
        )

    def test_when_a_section_is_misspelt_then_the_nearest_is_told(
        self,
    ) -> None:
        self.assertEqual(
            [
                'error: [DEFAULT] enabled_targets: there is no section '
                '[target:repo]; did you mean [targets:repo]?',
                'error: [targets:repo]: there is no such section; did you '
                'mean [target:repo]?',
            ],
            self.found(_GOOD.replace('[target:repo]', '[targets:repo]')),
        )
        self.assertEqual(
            [
                'error: [catalogue]: there is no such section; did you mean '
                '[catalog]?'
            ],
            self.found(_GOOD + '    [catalogue]\n    connection = x\n'),
        )

    def test_when_a_section_is_not_enabled_then_it_is_a_warning(self) -> None:
        text = _GOOD + '    [backend:old]\n    any = thing\n'
        self.assertEqual(
            [
                'warning: [backend:old]: this section is not used; add old '
                'to enabled_backends, or take the section away'
            ],
            self.found(text),
        )
        conf.check(self.load(text), _driver_options)

    def test_when_a_driver_is_unknown_then_its_error_is_told(self) -> None:
        text = _GOOD.replace('driver = posix', 'driver = posx')
        self.assertEqual(
            ['error: [target:repo] driver: no driver posx'], self.found(text)
        )

    def test_when_no_driver_is_named_then_it_is_told(self) -> None:
        for line in ('', 'driver ='):
            text = _GOOD.replace('driver = posix', line)
            (found,) = self.found(text)
            self.assertIn('[target:repo] driver: no driver is named', found)

    def test_when_a_value_is_of_a_wrong_type_then_it_is_told(self) -> None:
        text = _GOOD.replace('[DEFAULT]', '[DEFAULT]\n    copy_threads = many')
        (found,) = self.found(text)
        self.assertRegex(found, r'^error: \[DEFAULT\] copy_threads: .*many')
        text = _GOOD.replace('driver = file', 'driver = file\n    depth = 0')
        (found,) = self.found(text)
        self.assertRegex(found, r'\[backend:local\] depth: .*1')

    def test_when_a_secret_is_of_a_wrong_type_then_it_stays_secret(
        self,
    ) -> None:
        text = _GOOD.replace(
            'driver = file', 'driver = file\n    pin = geheim'
        )
        (found,) = self.found(text)
        self.assertIn('[backend:local] pin', found)
        self.assertNotIn('geheim', found)

    def test_when_an_old_name_is_used_then_it_is_well(self) -> None:
        text = _GOOD.replace('backup_posix_path', 'backup_path')
        self.assertEqual([], self.found(text))

    def test_when_the_default_target_is_not_enabled_then_it_is_told(
        self,
    ) -> None:
        text = _GOOD.replace('default_target = repo', 'default_target = rep')
        self.assertEqual(
            [
                'error: [DEFAULT] default_target: rep is not in '
                'enabled_targets; did you mean repo?'
            ],
            self.found(text),
        )

    def test_when_a_name_is_enabled_twice_then_it_is_told(self) -> None:
        text = _GOOD.replace('= local', '= local, Local')
        self.assertEqual(
            ['error: [DEFAULT] enabled_backends: Local is there twice'],
            self.found(text),
        )

    def test_when_a_name_cannot_be_one_then_it_is_told(self) -> None:
        text = _GOOD.replace('= local', '= local, a b')
        (found,) = self.found(text)
        self.assertIn("'a b' is no name for a backend", found)

    def test_when_a_name_differs_in_case_only_then_it_is_the_same(
        self,
    ) -> None:
        text = _GOOD.replace('[backend:local]', '[backend:LOCAL]')
        self.assertEqual([], self.found(text))

    def test_when_a_library_has_the_option_then_it_is_known(self) -> None:
        text = _GOOD.replace(
            '[DEFAULT]', '[DEFAULT]\n    debug = true\n    log_file = x'
        )
        text += '    [oslo_concurrency]\n    lock_path = /run/x\n'
        text += '    [privsep_osbrick]\n    user = x\n'
        self.assertEqual([], self.found(text))
        (found,) = self.found(text.replace('log_file', 'log_fiel'))
        self.assertIn('did you mean log_file?', found)

    def test_when_check_finds_several_then_it_counts_them(self) -> None:
        text = _GOOD.replace('volumes_dir', 'volume_dir')
        with self.assertRaisesRegex(
            errors.ConfigurationError,
            r'^\[backend:local\] volume_dir: .*\(1 more: .*config validate\)$',
        ):
            conf.check(self.load(text), _driver_options)

    def test_when_drivers_are_not_asked_then_sections_are_not_judged(
        self,
    ) -> None:
        text = _GOOD.replace('volumes_dir', 'volume_dir')
        self.assertEqual([], conf.problems(self.load(text)))


class OptsTest(unittest.TestCase):
    def test_when_listed_then_each_option_says_what_it_does(self) -> None:
        for group, group_opts in opts.list_opts():
            for opt in group_opts:
                self.assertRegex(
                    str(opt.help), r'^[A-Z].*\.$', f'{group} {opt.name}'
                )

    def test_when_registered_twice_then_it_is_well(self) -> None:
        loaded = cfg.ConfigOpts()
        opts.register(loaded)
        opts.register(loaded)
        loaded([])
        self.assertEqual(256 * 1024**2, loaded.max_memory_bytes)


_PLACE = """
    [DEFAULT]
    enabled_targets = vault
    enabled_backends =
    [backend:place]
    driver = file
    volumes_dir = /srv/place
    [target:vault]
    driver = volume
    backend = place
"""


class UsedBackendTest(unittest.TestCase):
    def problems(self, text: str) -> list[str]:
        """Return all that is told of a configuration."""
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
            file.write(textwrap.dedent(text))
            file.flush()
            found = conf.problems(conf.load([file.name]), _driver_options)
        return [str(problem) for problem in found]

    def test_section_when_a_target_uses_it_then_is_used(self) -> None:
        self.assertEqual([], self.problems(_PLACE))

    def test_section_when_a_target_uses_it_then_is_judged(self) -> None:
        text = _PLACE.replace('volumes_dir', 'volume_dir')
        self.assertIn('volumes_dir', ' '.join(self.problems(text)))

    def test_backend_when_there_is_no_such_section_then_said(self) -> None:
        told = self.problems(_PLACE.replace('backend = place', 'backend = p'))
        self.assertIn('there is no section [backend:p]', ' '.join(told))

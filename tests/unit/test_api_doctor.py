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


"""The doctor: what is told, and that every trouble has a cure."""

from __future__ import annotations

import pathlib

from backupkit import api
from backupkit import conf as conf_
from backupkit import doctor
from backupkit import errors
from tests.unit.flows import base


class DoctorTestCase(base.KitTestCase):
    def diagnoses(
        self, area: str, *, clear: bool = False
    ) -> list[doctor.Diagnosis]:
        found = self.kit.doctor(clear=clear)
        for one in found:
            if one.state != doctor.OK:
                self.assertNotEqual('', one.cure, one)
        return [one for one in found if one.area == area]

    def test_when_all_is_well_then_nothing_is_wrong(self) -> None:
        self.make_volume()
        self.kit.create_backup('local:v')
        found = self.kit.doctor(clear=True)
        self.assertEqual({doctor.OK}, {one.state for one in found})
        areas = {one.area for one in found}
        self.assertLessEqual(
            {'software', 'configuration', 'directory', 'catalog'}
            | {'backend', 'target'},
            areas,
        )

    def test_when_storage_is_shared_then_that_is_warned_of(self) -> None:
        self.patch(
            type(self.target),
            'storage_identity',
            lambda unused: self.driver.storage_identity(),
        )
        (found,) = self.diagnoses('storage')
        self.assertEqual(doctor.WARNING, found.state)
        self.assertEqual('local, repo', found.name)

    def test_when_a_place_is_gone_then_the_rest_is_looked_at(self) -> None:
        def gone(unused: object) -> None:
            raise errors.TargetMissing('it is not mounted')

        self.patch(type(self.target), 'check', gone)
        (found,) = self.diagnoses('target')
        self.assertEqual(
            (doctor.PROBLEM, 'it is not mounted'),
            (found.state, found.message),
        )
        self.assertEqual(
            [doctor.OK], [one.state for one in self.diagnoses('backend')]
        )

    def test_when_a_driver_breaks_then_it_is_one_problem(self) -> None:
        def broken(unused: object) -> None:
            raise KeyError('x')

        self.patch(type(self.driver), 'check', broken)
        (found,) = self.diagnoses('backend')
        self.assertEqual(doctor.PROBLEM, found.state)
        self.assertIn('KeyError', found.message)

    def test_when_the_state_is_open_to_all_then_that_is_told(self) -> None:
        state = pathlib.Path(self.session.state_path)
        state.chmod(0o777)
        (found,) = self.diagnoses('directory')
        self.assertEqual(
            (doctor.WARNING, f'chmod o-rwx {state}'), (found.state, found.cure)
        )

    def test_when_the_file_is_open_to_all_then_that_is_told(self) -> None:
        path = self.directory / 'backupkit.conf'
        path.chmod(0o666)
        found = self.diagnoses('configuration')
        self.assertEqual(
            [doctor.PROBLEM],
            [one.state for one in found if one.name == str(path)],
        )

    def test_when_the_catalog_is_damaged_then_that_is_told(self) -> None:
        self.make_volume()
        self.kit.create_backup('local:v')
        path = self.directory / 'state' / 'catalog.sqlite'
        path.write_bytes(b'not a database' * 1000)
        self.kit = self.connect()
        found = self.kit.doctor(clear=True)
        states = {one.area: one.state for one in found}
        self.assertEqual(doctor.PROBLEM, states['catalog'])
        self.assertEqual(doctor.OK, states['target'])

    def test_when_a_restore_is_unfinished_then_it_is_told(self) -> None:
        self.make_volume()
        row = self.kit.create_backup('local:v')
        self.make_volume('w')
        with (
            self.stopping_at('write', base.FAULT),
            self.assertRaises(errors.SourceError),
        ):
            self.kit.restore_backup(
                row.backup_id, to='local:w', overwrite=True
            )
        (found,) = self.diagnoses('volume')
        self.assertEqual('local:w', found.name)
        self.assertIn(
            f'restore {row.backup_id} --to local:w --overwrite', found.cure
        )

    def test_when_something_is_left_then_clearing_tells_of_it(self) -> None:
        self.make_volume()
        with self.breaking('detach'), self.assertLogs():
            self.kit.create_backup('local:v')
        (found,) = self.diagnoses('leftover')
        self.assertEqual('backupkit doctor --clear', found.cure)
        (cleared,) = self.diagnoses('clear', clear=True)
        self.assertIn('is removed', cleared.message)
        self.assertEqual([], self.diagnoses('leftover'))
        self.assert_nothing_left()

    def test_when_clearing_fails_then_that_is_a_problem(self) -> None:
        def away(unused: object) -> None:
            raise errors.TargetUnavailable('it does not answer')

        self.patch(type(self.target), 'keep_reserve', away)
        (found,) = self.diagnoses('clear', clear=True)
        self.assertEqual(
            ('target repo', doctor.PROBLEM), (found.name, found.state)
        )

    def test_when_a_target_was_never_used_then_nothing_is_wrong(self) -> None:
        found = self.kit.doctor(clear=True)
        self.assertEqual({doctor.OK}, {one.state for one in found})
        self.assertEqual([], [one for one in found if one.area == 'clear'])

    def test_when_what_was_used_is_empty_then_that_is_a_problem(self) -> None:
        self.make_volume()
        self.kit.create_backup('local:v')
        with self.session.repository('repo').opened() as store:
            for each in list(store.list()):
                store.delete(each.name)
        (found,) = self.diagnoses('clear', clear=True)
        self.assertEqual(
            ('target repo', doctor.PROBLEM), (found.name, found.state)
        )
        self.assertIn('holds no repository', found.message)

    def test_when_only_looking_then_nothing_is_changed(self) -> None:
        self.make_volume()
        with self.breaking('detach'), self.assertLogs():
            self.kit.create_backup('local:v')
        before = self.catalog.ledger()
        self.kit.doctor()
        self.assertEqual(before, self.catalog.ledger())


class WrongConfigurationTestCase(base.KitTestCase):
    def test_when_it_is_wrong_then_only_connecting_refuses(self) -> None:
        path = self.directory / 'wrong.conf'
        text = (self.directory / 'backupkit.conf').read_text()
        path.write_text(text.replace('state_path', 'sttae_path'))
        with self.assertRaisesRegex(errors.ConfigurationError, 'state_path'):
            api.connect([str(path)])
        conf = conf_.load([str(path)])
        conf.set_override('state_path', str(self.directory / 'state'))
        kit = api.Backupkit(conf)
        self.addCleanup(kit.close)
        self.assertEqual(
            ['sttae_path'], [one.option for one in kit.validate_config()]
        )
        found = [d for d in kit.doctor() if d.area == 'configuration']
        self.assertEqual([doctor.PROBLEM], [one.state for one in found])
        self.assertIn('state_path', found[0].cure)

    def test_when_a_backend_has_no_section_then_the_rest_is_told(self) -> None:
        path = self.directory / 'wrong.conf'
        text = (self.directory / 'backupkit.conf').read_text()
        path.write_text(text.replace('= local', '= local, none'))
        kit = api.Backupkit(conf_.load([str(path)]))
        self.addCleanup(kit.close)
        found = {d.name: d for d in kit.doctor() if d.area == 'backend'}
        self.assertEqual(doctor.OK, found['local'].state)
        self.assertEqual(doctor.PROBLEM, found['none'].state)

    def test_when_drivers_are_listed_then_all_are_there(self) -> None:
        names = {(one['kind'], one['name']) for one in self.kit.list_drivers()}
        self.assertLessEqual(
            {('volume', 'memory'), ('target', 'memory')}, names
        )

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
"""Copies, pruning and records, by the console script; and kills of copies."""

from __future__ import annotations

from collections.abc import Callable
import datetime
import json
import pathlib
import shutil
import signal
import sqlite3
from typing import Any, ClassVar

from backupkit import api
from tests.functional import test_cli
from tests.functional import test_kills

_MIB = 1024**2
_MORE = """\
[target:vault]
driver = posix
backup_posix_path = {root}/vault
{options}
[target:coarse]
driver = posix
backup_posix_path = {root}/coarse
chunk_size_bytes = 1048576
digest = sha256
codec = none
[target:volumes]
driver = volume
backend = keepers
[backend:keepers]
driver = file
volumes_dir = {root}/keepers
storage_pool = another
"""


def enable(root: pathlib.Path, options: str = '') -> None:
    """Add targets to the configuration below a directory."""
    for name in ('vault', 'coarse', 'keepers'):
        (root / name).mkdir()
    path = root / 'backupkit.conf'
    text = path.read_text().replace(
        'enabled_targets = repo', 'enabled_targets = repo,vault,coarse,volumes'
    )
    path.write_text(text + _MORE.format(root=root, options=options))


class KeepTest(test_cli.CliTest):
    """Base class: four targets of three kinds."""

    def setUp(self) -> None:
        super().setUp()
        enable(self.root)
        self.content = self.fill()

    def create(self, *more: str) -> str:
        return str(self.show('backup', 'create', 'local:db01', *more)['id'])

    def copy(self, backup_id: str, to: str) -> Any:
        return self.show('backup', 'copy', backup_id, '--to', to)

    def ids(self, *more: str) -> list[str]:
        return [one['id'] for one in self.show('backup', 'list', *more)]

    def restored(self, backup_id: str) -> str:
        self.call('backup', 'restore', backup_id, '--new', 'local:restored')
        digest = self.digest('restored')
        self.call('volume', 'delete', 'local:restored', '--yes')
        return digest

    def age(self, backup_id: str, days: int) -> None:
        """Let a backup be older than it is."""
        moment = datetime.datetime.now(datetime.UTC)
        moment -= datetime.timedelta(days=days)
        path = self.root / 'catalog.sqlite'
        with sqlite3.connect(path) as connection:
            connection.execute(
                'UPDATE backups SET created_at = ? WHERE backup_id = ?',
                (moment.isoformat(timespec='seconds'), backup_id),
            )
        connection.close()


class CopyTest(KeepTest):
    def test_when_the_volume_is_gone_then_copies_bring_it_back(self) -> None:
        made = self.create('--name', 'weekly')
        (self.volumes / 'db01').unlink()
        source = made
        for target in ('vault', 'coarse', 'volumes'):
            copied = self.copy(source, target)
            self.assertEqual(
                (made, target, 'weekly', 'available', False),
                tuple(
                    copied[key]
                    for key in (
                        *('copy_of', 'target', 'name', 'status'),
                        'protected',
                    )
                ),
            )
            source = copied['id']
        shutil.rmtree(self.root / 'repo')
        for backup_id in self.ids():
            if backup_id != made:
                self.assertEqual(self.content, self.restored(backup_id))
                self.show('backup', 'verify', backup_id, '--full')
        self.assertEqual([], self.show('run', 'list'))

    def test_when_it_is_there_then_nothing_moves_twice(self) -> None:
        first = self.create()
        self.change('db01', 65536, 100)
        second = self.create()
        full = self.copy(first, 'vault')
        little = self.copy(second, 'vault')
        self.assertLess(_MIB, full['stored_bytes'])
        self.assertLess(little['stored_bytes'], _MIB // 2)
        self.assertEqual(262144, little['read_bytes'])
        self.show('repository', 'check', 'vault', '--read-data')

    def test_when_it_is_refused_then_one_line_says_why(self) -> None:
        made = self.create()
        self.refused(2, 'already', 'backup', 'copy', made, '--to', 'repo')
        self.refused(2, 'enabled', 'backup', 'copy', made, '--to', 'none')
        self.refused(2, 'no backup', 'backup', 'copy', '0' * 8, '--to', 'repo')
        copied = self.copy(made, 'vault')['id']
        self.refused(6, copied, 'backup', 'copy', made, '--to', 'vault')
        self.refused(6, made, 'backup', 'copy', copied, '--to', 'repo')

    def test_when_the_source_is_damaged_then_4(self) -> None:
        made = self.create()
        for pack in self.packs():
            data = bytearray(pack.read_bytes())
            data[len(data) // 2] ^= 1
            pack.write_bytes(data)
        self.refused(4, 'digest', 'backup', 'copy', made, '--to', 'vault')
        self.assertEqual([], self.show('backup', 'list', '--target', 'vault'))
        left = list((self.root / 'vault').rglob('packs/*/*'))
        self.assertEqual([], left)

    def test_when_stopped_then_it_is_undone_or_gone_on_with(self) -> None:
        self.fill('db01', 64 * _MIB)
        made = self.create()
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 9)):
            process = self.start(
                *('--progress', 'json', 'backup', 'copy', made),
                *('--to', 'coarse'),
            )
            with process:
                assert process.stderr is not None
                for line in process.stderr:
                    if '"step": "copy"' in line and '"total_bytes": 6' in line:
                        break
                process.send_signal(number)
                process.communicate(timeout=300)
                # It may have been too quick to be stopped.
                self.assertIn(process.returncode, (0, code))
            if process.returncode == 130:
                self.assertEqual([], self.show('run', 'list'))
                self.assertEqual([], self.ids('--target', 'coarse'))
            for one in self.show('backup', 'list', '--target', 'coarse'):
                if one['status'] == 'available':
                    self.call('backup', 'delete', one['id'], '--yes')
        if self.show('run', 'list'):
            self.copy(made, 'coarse')
            self.assertEqual([], self.show('run', 'list'))
            self.assertEqual(1, len(self.ids('--target', 'coarse')))


class PruneTest(KeepTest):
    def setUp(self) -> None:
        super().setUp()
        self.made = []
        for days in (40, 20, 3, 2, 1):
            self.change('db01', days * 4096, 4096)
            self.made.append(self.create())
            self.age(self.made[-1], days)

    def actions(self, *rules: str) -> list[str]:
        told = self.show('backup', 'prune', *rules)
        self.assertEqual(self.made, [one['id'] for one in told])
        return [one['action'] for one in told]

    def test_when_pruned_then_the_rules_hold(self) -> None:
        rules = ('--keep-last', '1', '--keep-within', '60h')
        self.assertEqual(
            ['remove'] * 2 + ['keep'] * 3, self.actions(*rules, '--dry-run')
        )
        self.assertEqual(self.made, self.ids())
        self.show('backup', 'protect', self.made[0])
        self.assertEqual(
            ['keep', 'removed', *['keep'] * 3], self.actions(*rules)
        )
        left = [self.made[0], *self.made[2:]]
        self.assertEqual(left, self.ids())
        self.refused(6, 'unprotect', 'backup', 'delete', self.made[0], '--yes')
        self.show('backup', 'unprotect', self.made[0])
        self.call('backup', 'delete', self.made[0], '--yes')
        self.show('repository', 'gc')
        self.show('repository', 'check', '--read-data')
        self.assertEqual(self.digest('db01'), self.restored(self.made[4]))

    def test_when_all_would_go_then_only_with_yes(self) -> None:
        none = ('backup', 'prune', '--keep-last', '0')
        self.refused(2, '--yes', *none)
        self.assertEqual(self.made, self.ids())
        self.assertEqual(
            ['removed'] * 5, self.actions('--keep-last', '0', '--yes')
        )
        self.assertEqual([], self.ids())

    def test_when_the_rules_cannot_be_meant_then_2(self) -> None:
        self.refused(2, 'no rule', 'backup', 'prune')
        for wrong in (
            ('--keep-last', '-1'),
            ('--keep-last', 'x'),
            ('--keep-within', '3'),
            ('--keep-within', '3y'),
            ('--keep-last', '1', '--volume', 'a:b', '--backend', 'a'),
        ):
            self.call('backup', 'prune', *wrong, code=2)
        self.assertEqual(self.made, self.ids())


class RecordsTest(KeepTest):
    def lose(self) -> None:
        """Lose all that this host knows."""
        shutil.rmtree(self.root / 'state', ignore_errors=True)
        for path in self.root.glob('catalog.sqlite*'):
            path.unlink()

    def test_when_all_is_lost_then_each_target_tells_what_it_has(
        self,
    ) -> None:
        made = self.create('--name', 'weekly')
        copies = {
            target: self.copy(made, target)
            for target in ('vault', 'coarse', 'volumes')
        }
        self.lose()
        told = self.show('catalog', 'rebuild', 'repo')
        self.assertEqual((1, 1), (told['found'], told['added']))
        self.assertEqual([made], self.ids())
        self.assertEqual(self.content, self.restored(made))
        for target, copied in copies.items():
            self.lose()
            told = self.show('catalog', 'rebuild', target)
            self.assertEqual((1, 1), (told['found'], told['added']))
            row = self.show('backup', 'show', copied['id'])
            for key in ('copy_of', 'name', 'created_at', 'size_bytes'):
                self.assertEqual(copied[key], row[key], target)
            self.show('backup', 'verify', copied['id'], '--full')
            self.assertEqual(self.content, self.restored(copied['id']))
        # Writing needs more than reading.
        self.lose()
        self.show('catalog', 'rebuild', 'repo')
        self.call('backup', 'create', 'local:db01', code=6)
        self.show('repository', 'adopt', 'repo')
        self.assertEqual(0, self.show_created()['stored_bytes'])

    def show_created(self) -> Any:
        return self.show('backup', 'create', 'local:db01')

    def test_when_exported_then_another_catalog_takes_it_in(self) -> None:
        made = self.create()
        copied = self.copy(made, 'volumes')['id']
        self.show('backup', 'protect', copied)
        file = self.root / 'records.json'
        self.call('backup', 'export', made, copied, '--file', str(file))
        self.assertEqual(0o660, file.stat().st_mode & 0o777)
        text = json.loads(self.call('backup', 'export', made))
        self.assertEqual(('backupkit records', 1), _kind(text))
        self.lose()
        told = self.show('backup', 'import', str(file))
        self.assertEqual((2, 2), (told['found'], told['added']))
        self.assertEqual(
            [(made, False), (copied, True)],
            [
                (one, self.show('backup', 'show', one)['protected'])
                for one in (made, copied)
            ],
        )
        self.assertEqual(self.content, self.restored(made))

    def test_when_a_document_is_wrong_then_one_line_says_so(self) -> None:
        made = self.create()
        file = self.root / 'records.json'
        self.call('backup', 'export', made, '--file', str(file))
        document = json.loads(file.read_text())
        document['backups'][0]['size_bytes'] = 1
        for text, code, told in (
            ('', 4, 'not JSON'),
            ('{"format": "backupkit records"}', 4, 'version'),
            (json.dumps(document), 4, 'size_bytes is 1'),
            (json.dumps({**document, 'version': 2}), 8, 'version 2'),
        ):
            file.write_text(text)
            self.refused(code, told, 'backup', 'import', str(file))
        self.refused(2, 'cannot read', 'backup', 'import', '/nowhere')
        self.refused(
            *(2, 'cannot write', 'backup', 'export', made),
            *('--file', '/nowhere/records.json'),
        )


def _kind(document: Any) -> tuple[str, int]:
    return document['format'], document['version']


class PartTest(KeepTest):
    def test_when_every_part_is_read_then_all_is_read_once(self) -> None:
        self.fill('db01', 100 * _MIB)
        made = self.create()
        whole = self.show('repository', 'check', '--read-data')['bytes_read']
        parts = [
            self.show('repository', 'check', '--part', f'{number}/3')
            for number in (1, 2, 3)
        ]
        self.assertEqual(whole, sum(one['bytes_read'] for one in parts))
        some = self.show('backup', 'verify', made, '--sample', '1%')
        self.assertLess(0, some['bytes_read'])
        self.assertLess(some['bytes_read'], whole)
        for wrong in ('0/3', '4/3', '3', 'a/b', '1/0'):
            self.call('repository', 'check', '--part', wrong, code=2)
        for wrong in ('0%', '101%', 'x'):
            self.call('backup', 'verify', made, '--sample', wrong, code=2)

    def test_when_a_part_is_damaged_then_4(self) -> None:
        self.create()
        pack = max(self.packs(), key=lambda path: path.stat().st_size)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
        self.show('repository', 'check', '--part', '1/1', code=4)


class CopyKillTest(test_kills.KillCase):
    """Copies that are killed; the next process ends what is left of them."""

    kills: ClassVar[int] = 12
    endings: ClassVar[tuple[str, ...]] = ('clear', 'resume', 'again')

    def make_place(self, root: pathlib.Path) -> None:
        super().make_place(root)
        small = 'chunk_size_bytes = 65536\npack_size_bytes = 1048576'
        enable(root, small)

    def exercise(self) -> None:
        with self.connect() as kit:
            made = kit.create_backup('local:db01').backup_id
            for target in ('vault', 'volumes'):
                copied = kit.copy_backup(made, to=target).backup_id
                self.restored(kit, copied)
                self.assert_verified(kit, {copied}, full=True)
                kit.delete_backup(copied)
            kit.delete_backup(made)
            kit.collect_garbage()
            kit.doctor(clear=True)

    def look(
        self,
        scene: test_kills.Scene,
        check: Callable[[api.Backupkit, test_kills.Scene], None],
    ) -> tuple[bool, dict[str, str]]:
        with self.connect() as kit:
            live = bool(kit.list_runs())
            ending = self.endings[scene.number % len(self.endings)]
            target = _target(scene)
            there = any(
                row.backup_id in self.good(kit)
                for row in kit.list_backups(target=target)
            )
            if ending == 'clear':
                kit.doctor(clear=True)
            elif ending == 'resume':
                for run in kit.list_runs():
                    self.resume(kit, run)
                kit.doctor(clear=True)
            elif not there:
                kit.copy_backup(scene.chosen, to=target)
            self.assertEqual([], kit.list_runs())
            copies = kit.list_backups(target=target)
            self.assertLessEqual(len(copies), 1)
            if ending == 'again':
                self.assertEqual(1, len(copies))
            for row in copies:
                self.assertEqual(scene.chosen, row.copy_of)
                self.assert_verified(kit, {row.backup_id}, full=True)
                expected = scene.contents[scene.chosen]
                self.assertEqual(expected, self.restored(kit, row.backup_id))
                kit.delete_backup(row.backup_id)
            check(kit, scene)
            self.assert_nothing_is_left(kit)
            return live, scene.contents

    def assert_nothing_is_left(self, kit: api.Backupkit) -> None:
        """Assert that deleted and undone copies leave no object."""
        kit.collect_garbage('repo')
        if (self.root / 'vault' / 'config').exists():
            kit.collect_garbage('vault')
        packs = [
            path
            for path in (self.root / 'vault').rglob('packs/*/*')
            if path.is_file()
        ]
        self.assertEqual([], packs)
        kept = {path.name for path in (self.root / 'keepers').iterdir()}
        self.assertLessEqual(kept, {'.backupkit-storage'})
        self.assert_nothing_left(kit)

    def test_when_a_copy_is_killed_then_nothing_is_lost(self) -> None:
        self.kill(self.kills, _copy, self.none_is_lost)


def _target(scene: test_kills.Scene) -> str:
    return ('vault', 'volumes')[scene.number // 3 % 2]


def _copy(kit: api.Backupkit, scene: test_kills.Scene) -> None:
    kit.copy_backup(scene.chosen, to=_target(scene))

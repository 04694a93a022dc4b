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

"""What was once written is read for ever, and what is newer is refused."""

from __future__ import annotations

import ast
from collections.abc import Callable
import gzip
import hashlib
import io
import json
import pathlib
import tarfile
from typing import Any

from backupkit.copy import control
from backupkit.drivers import target as contract
from backupkit import errors
from backupkit import model
from backupkit.repository import frame
from backupkit.repository import layout
from backupkit.testing.memory import store
from tests.data import make
from tests.data import reader
from tests.unit.repository import case

DATA = pathlib.Path(make.__file__).parent
FORMATS = sorted(DATA.glob('format-*'))

#: Repository, backup, and what is known of it.
Known = dict[str, dict[str, dict[str, Any]]]


def expected(directory: pathlib.Path) -> Known:
    """Return what must come out of the repositories of a format."""
    known: Known = json.loads((directory / 'expected.json').read_text())
    return known


def unpacked(archive: pathlib.Path) -> dict[str, bytes]:
    """Return the objects of an archive."""
    packed = io.BytesIO(gzip.decompress(archive.read_bytes()))
    objects = {}
    with tarfile.open(fileobj=packed) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            objects[member.name] = file.read()
    return objects


class GoldenCase(case.RepositoryCase):
    """Puts golden repositories on the medium."""

    def put(self, archive: pathlib.Path) -> dict[str, bytes]:
        """Let the medium hold the objects of an archive."""
        objects = unpacked(archive)
        self.medium.objects.clear()
        self.medium.objects.update(objects)
        return objects

    def assert_same(self, known: dict[str, Any], data: bytes) -> None:
        """Compare the bytes of a volume with what is known of them."""
        self.assertEqual(known['size_bytes'], len(data))
        self.assertEqual(known['sha256'], hashlib.sha256(data).hexdigest())


class TestGolden(GoldenCase):
    def setUp(self) -> None:
        super().setUp()
        self.found = [
            (directory / f'{name}.tar.gz', backups)
            for directory in FORMATS
            for name, backups in expected(directory).items()
        ]

    def test_when_archives_are_counted_then_all_are_known(self) -> None:
        self.assertTrue(self.found)
        there = {path for one in FORMATS for path in one.glob('*.tar.gz')}
        self.assertEqual(there, {path for path, _ in self.found})

    def test_when_restored_then_the_bytes_are_those_of_then(self) -> None:
        for archive, backups in self.found:
            self.put(archive)
            for backup_id, known in backups.items():
                with self.subTest(archive=archive.name, backup=backup_id):
                    self.assert_same(known, self.restore(backup_id))

    def test_when_checked_then_nothing_is_found(self) -> None:
        for archive, backups in self.found:
            with self.subTest(archive=archive.name):
                before = self.put(archive)
                for read_data in (False, True):
                    report = self.check(read_data=read_data)
                    self.assertEqual((), report.findings)
                    self.assertGreaterEqual(report.objects, len(before))
                for backup_id in backups:
                    for full in (False, True):
                        report = self.verify(backup_id, full=full)
                        self.assertEqual((), report.findings)
                self.assertEqual(before, self.medium.objects)

    def test_when_listed_then_all_backups_are_there(self) -> None:
        for archive, backups in self.found:
            with self.subTest(archive=archive.name):
                self.put(archive)
                listed = {}
                for one in self.target.list():
                    assert isinstance(one, model.BackupSummary), one
                    listed[one.backup_id] = one.size_bytes
                self.assertEqual(
                    {i: one['size_bytes'] for i, one in backups.items()},
                    listed,
                )

    def test_when_read_without_this_release_then_it_is_the_same(
        self,
    ) -> None:
        """The page on the format tells all that a reader needs."""
        for archive, backups in self.found:
            with self.subTest(archive=archive.name):
                other = reader.Reader(unpacked(archive))
                self.assertEqual(set(backups), set(other.backups()))
                for backup_id, known in backups.items():
                    self.assert_same(known, other.restore(backup_id))

    def test_when_indexes_are_compared_then_they_agree_with_packs(
        self,
    ) -> None:
        for archive, _ in self.found:
            with self.subTest(archive=archive.name):
                objects = unpacked(archive)
                there = {
                    one
                    for name, data in objects.items()
                    if isinstance(layout.parse(name), layout.PackId)
                    for one in reader.table(name, data)
                }
                told = set(reader.indexed(objects))
                moved = {one for one in told if one[1].pack not in objects}
                self.assertLessEqual(told - moved, there)
                self.assertEqual(archive.name == 'moved.tar.gz', bool(moved))

    def test_when_the_other_reader_is_read_then_it_shares_nothing(
        self,
    ) -> None:
        text = pathlib.Path(reader.__file__).read_text()
        imported = {
            name.split('.')[0]
            for node in ast.walk(ast.parse(text))
            for name in _imported(node)
        }
        self.assertNotIn('backupkit', imported)
        self.assertNotIn('tests', imported)
        self.assertIn('blake3', imported)

    def test_when_made_anew_then_the_objects_keep_their_places(self) -> None:
        """What is written now has the names and kinds of then."""
        for name, (fill, options) in make.REPOSITORIES.items():
            with self.subTest(name=name):
                number = list(make.REPOSITORIES).index(name) + 1
                maker = make.Maker(number, **options)
                self.addCleanup(store.discard, maker.medium_name)
                with maker.fixed():
                    fill(maker)
                then = unpacked(DATA / 'format-1' / f'{name}.tar.gz')
                self.assertEqual(
                    {one: data[:8] for one, data in then.items()},
                    {one: data[:8] for one, data in maker.objects.items()},
                )
                for one in (layout.CONFIG, layout.RESERVE):
                    self.assertEqual(then[one], maker.objects[one])


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or '.']
    return []


class TestNewer(GoldenCase):
    """What a newer release has written is refused, and not called damaged."""

    def setUp(self) -> None:
        super().setUp()
        directory = DATA / 'format-1'
        self.put(directory / 'blake3-zstd.tar.gz')
        self.backup_id, *_ = expected(directory)['blake3-zstd']
        self.manifest = layout.manifest(self.backup_id)

    def edit(self, name: str, magic: bytes, **fields: Any) -> None:
        """Change fields of a framed document, with a right checksum."""
        body = frame.unseal(magic, self.medium.objects[name], name)
        document = {**json.loads(body), **fields}
        self.medium.objects[name] = frame.seal(
            magic, frame.dump_json(document), 'blake3'
        )

    def renew(self, name: str) -> None:
        """Let an object begin with the magic of the next version."""
        data = self.medium.objects[name]
        body = frame.unseal(data[:8], data, name)
        magic = data[:7] + b'2'
        self.medium.objects[name] = frame.seal(magic, body, 'blake3')

    def refused(self, *calls: Callable[[], object]) -> None:
        """Assert that each call says that a newer release is needed."""
        before = dict(self.medium.objects)
        for call in calls:
            with self.assertRaises(errors.FormatTooNew) as caught:
                call()
            self.assertEqual(8, caught.exception.exit_code)
        self.assertEqual(before, self.medium.objects)

    def all_refused(self) -> None:
        """Assert that nothing at all works."""
        self.refused(
            lambda: self.restore(self.backup_id),
            lambda: self.verify(self.backup_id),
            self.check,
            lambda: list(self.target.list()),
            self.collect,
            lambda: self.target.prepare_repository(self.coordinator),
            lambda: self.target.adopt(self.coordinator),
            lambda: self.target.delete(self.backup_id),
            lambda: self.target.abort(self.backup_id),
            lambda: self.back_up(bytes(5000)),
        )

    def test_when_the_config_is_of_format_2_then_it_is_refused(self) -> None:
        self.edit(layout.CONFIG, frame.CONFIG, format=2)
        self.all_refused()

    def test_when_there_are_features_then_it_is_refused(self) -> None:
        self.edit(layout.CONFIG, frame.CONFIG, features=['shared-nodes'])
        self.all_refused()

    def test_when_there_are_keys_then_it_is_refused(self) -> None:
        self.edit(layout.CONFIG, frame.CONFIG, keys=[{'slot': 1}])
        self.all_refused()

    def test_when_the_digest_is_unknown_then_it_is_refused(self) -> None:
        self.edit(layout.CONFIG, frame.CONFIG, digest='blake4')
        self.all_refused()

    def test_when_the_config_has_a_newer_magic_then_it_is_refused(
        self,
    ) -> None:
        self.renew(layout.CONFIG)
        self.all_refused()

    def one_refused(self) -> None:
        """Assert that one backup cannot be read, and the others can."""
        self.refused(
            lambda: self.restore(self.backup_id),
            lambda: self.target.show(self.backup_id),
        )
        listed = list(self.target.list())
        found = [one for one in listed if isinstance(one, contract.Finding)]
        self.assertEqual([self.manifest], [one.name for one in found])
        self.assertEqual(2, len(listed))
        self.assertEqual(
            {self.manifest}, {one.name for one in self.check().findings}
        )
        self.target.adopt(self.coordinator)
        before = dict(self.medium.objects)
        with self.assertRaisesRegex(errors.Damaged, 'nothing is collected'):
            self.target.collect(self.coordinator, control.Control())
        self.assertEqual(before, self.medium.objects)

    def test_when_a_manifest_is_of_format_2_then_it_is_refused(self) -> None:
        self.edit(self.manifest, frame.MANIFEST, format=2)
        self.one_refused()

    def test_when_a_manifest_has_a_newer_magic_then_it_is_refused(
        self,
    ) -> None:
        self.renew(self.manifest)
        self.one_refused()

    def test_when_a_layout_is_unknown_then_it_is_refused(self) -> None:
        self.edit(self.manifest, frame.MANIFEST, layout='drawers')
        self.one_refused()

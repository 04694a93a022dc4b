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

"""Columns for people and for programs."""

import dataclasses
import unittest

from backupkit.cli import columns
from backupkit import model


@dataclasses.dataclass(frozen=True)
class _Thing:
    name: str
    size_bytes: int
    kind: model.BackupKind
    parts: tuple[model.Snapshot, ...] = ()


_SNAPSHOT = model.Snapshot('s', 'v', 5)


class ColumnsTest(unittest.TestCase):
    def test_when_made_plain_then_json_knows_it(self) -> None:
        thing = _Thing('a', 1, model.BackupKind.FULL, (_SNAPSHOT,))
        self.assertEqual(
            {
                'name': 'a',
                'size_bytes': 1,
                'kind': 'full',
                'parts': [{'name': 's', 'volume_id': 'v', 'size_bytes': 5}],
            },
            columns.plain(thing),
        )
        self.assertIs(str, type(columns.plain(model.BackupKind.FULL)))

    def test_when_bytes_are_shown_then_in_both_forms(self) -> None:
        names, values = columns.show({'id': 'x', 'size_bytes': 2048})
        self.assertEqual(('id', 'size_bytes'), names)
        self.assertEqual('x', values[0])
        self.assertEqual('2.0 KiB', values[1].human_readable())
        self.assertEqual(2048, values[1].machine_readable())

    def test_when_a_size_is_not_known_then_it_stays_none(self) -> None:
        _, values = columns.show({'allocated_bytes': None})
        self.assertEqual((None,), values)

    def test_when_several_are_shown_then_one_a_line(self) -> None:
        _, (value,) = columns.show({'parts': (_SNAPSHOT, _SNAPSHOT)})
        self.assertEqual(
            'name=s, volume_id=v, size_bytes=5\n'
            'name=s, volume_id=v, size_bytes=5',
            value.human_readable(),
        )
        _, (value,) = columns.show({'waiting_for': ('a', 'b')})
        self.assertEqual('a\nb', value.human_readable())
        self.assertEqual(['a', 'b'], value.machine_readable())
        _, (value,) = columns.show({'facts': {'a': 1}})
        self.assertEqual('a: 1', value.human_readable())

    def test_when_rows_are_made_then_of_the_names_asked_for(self) -> None:
        names, rows = columns.rows(
            ('b', 'a_bytes'), [{'a_bytes': 1, 'b': 2, 'c': 3}]
        )
        self.assertEqual(('b', 'a_bytes'), names)
        self.assertEqual([(2, columns.Size(1))], rows)

    def test_when_drawn_then_people_see_the_text(self) -> None:
        _, (value,) = columns.show({'steps': columns.Drawn([1], 'one')})
        self.assertEqual('one', value.human_readable())
        self.assertEqual([1], value.machine_readable())

    def test_when_a_name_holds_controls_then_a_table_spells_them(
        self,
    ) -> None:
        name = 'a\x1b[2Jb\udcff\u00e9'
        _, (value,) = columns.show({'volume': name})
        self.assertEqual('a\\x1b[2Jb\\udcff\u00e9', value.human_readable())
        self.assertEqual(name, value.machine_readable())
        _, (value,) = columns.show({'names': [name]})
        self.assertNotIn('\x1b', value.human_readable())

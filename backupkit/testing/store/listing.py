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


"""Tests of what a listing promises."""

from __future__ import annotations

import functools

from backupkit.drivers import store
from backupkit.testing.store import case
from backupkit.testing import suite

#: More than any service hands out in one page of a listing; many servers
#: stop at 1,000.
MANY = 1100
#: Threads that put them: each put waits for the disk.
WRITERS = 16


class ListTests(case.StoreCase):
    """Tests of ``list``."""

    def put_tree(self) -> None:
        """Put some objects below several prefixes."""
        self.sizes = {
            'top': 0,
            'a/one': 1,
            'a/two': 2,
            'a/b/three': 3,
            'a.b/four': 4,
            'ab/five': 5,
        }
        for name, size in self.sizes.items():
            self.store.put(name, [b'x' * size])

    def test_list_when_prefix_is_empty_then_all_are_there(self) -> None:
        """Guards: store 7, Store.list, StoreCapabilities.list_complete."""
        self.put_tree()
        self.check('')

    def test_list_when_prefix_is_given_then_those_below_it(self) -> None:
        """Guards: store 7, Store.list, StoreCapabilities.list_complete."""
        self.put_tree()
        for prefix in ('a/', 'a/b/', 'ab/', 'a.b/'):
            self.check(prefix)

    def test_list_when_nothing_is_below_then_empty(self) -> None:
        """Guards: Store.list."""
        self.put_tree()
        for prefix in ('c/', 'top/', 'a/one/', 'a/b/c/'):
            self.assertEqual([], list(self.store.list(prefix)))

    def test_list_when_opened_again_then_the_same(self) -> None:
        """Guards: Store.list, StoreCapabilities.list_complete."""
        self.put_tree()
        self.store = self.open_again()
        self.check('')

    def test_list_when_objects_are_deleted_then_they_are_gone(self) -> None:
        """Guards: Store.list, StoreCapabilities.list_complete."""
        self.put_tree()
        for name in ('a/b/three', 'top'):
            self.open_again().delete(name)
            del self.sizes[name]
        if self.promised.list_complete:
            self.check('')

    def test_list_when_there_are_many_then_none_is_missed(self) -> None:
        """Guards: Store.list, StoreCapabilities.list_complete."""
        self.put_tree()
        names = [f'many/{number}' for number in range(MANY)]

        def put(part: int) -> None:
            for name in names[part::WRITERS]:
                self.store.put(name, [b'm'])

        calls = [functools.partial(put, part) for part in range(WRITERS)]
        suite.successes(suite.together(*calls))
        self.sizes |= dict.fromkeys(names, 1)
        self.check('many/')

    def test_list_when_it_is_read_slowly_then_others_may_work(self) -> None:
        """Guards: Store.list."""
        self.put_tree()
        other = self.open_again()
        seen = []
        for found in self.store.list():
            seen.append(found.name)
            other.delete(found.name)
            other.put(f'new/{len(seen)}', [b''])
            if len(seen) > 3 * len(self.sizes):
                break
        if self.promised.list_complete:
            self.assertLessEqual(self.sizes.keys(), set(seen))

    def test_list_when_others_put_and_delete_then_stays_whole(self) -> None:
        """Guards: Store.list, StoreCapabilities.list_complete."""
        self.put_tree()
        other = self.open_again()

        def work() -> None:
            for number in range(50):
                other.put(f'a/work/{number}', [b''])
                other.delete(f'a/work/{number}')

        def watch() -> list[set[str]]:
            return [set(self.names('a/')) for _ in range(20)]

        _, seen = suite.successes(suite.together(work, watch))
        lasting = {name for name in self.sizes if name.startswith('a/')}
        for names in seen:
            if self.promised.list_complete:
                self.assertLessEqual(lasting, names)

    def check(self, prefix: str) -> None:
        """Compare a listing with what was put."""
        found = list(self.store.list(prefix))
        put = [
            store.ObjectStat(name, size)
            for name, size in self.sizes.items()
            if name.startswith(prefix)
        ]
        self.assertEqual(len(found), len({stat.name for stat in found}))
        if self.promised.list_complete:
            self.assertCountEqual(put, found)
        else:
            self.assertLessEqual(set(found), set(put))

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


"""Empty directories go, also while others work in them."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
from typing import Any

from backupkit import errors
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base


class PruneTest(base.StoreTestCase):
    def test_when_last_object_goes_then_empty_directories_go(self) -> None:
        self.store.put(base.PACK, [b'data'])
        self.store.put('config', [b'data'])
        self.store.delete(base.PACK)
        self.assertEqual(['config'], os.listdir(self.root))

    def test_when_all_goes_then_the_root_stays(self) -> None:
        self.store.put('a/x', [b'data'])
        self.store.delete('a/x')
        self.assertEqual([], os.listdir(self.root))

    def test_when_others_remain_then_their_directories_stay(self) -> None:
        self.store.put(base.PACK, [b'data'])
        self.store.put(base.MANIFEST, [b'data'])
        self.store.delete(base.PACK)
        self.assertEqual([base.MANIFEST], self.names())
        self.assertFalse(os.path.exists(self.path('backups/aa/bb/one/packs')))

    def test_when_put_fails_then_its_directories_go(self) -> None:
        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name == 'pwritev':
                raise OSError(28, 'No space left on device')
            return real(*args, **kwargs)

        with (
            seam.intercepted(intercept),
            self.assertRaises(errors.TargetFull),
        ):
            self.store.put('d/x', [b'data'])
        self.assertEqual([], os.listdir(self.root))

    def test_when_another_pruned_and_made_anew_then_it_is_seen(self) -> None:
        other = self.open_store()
        self.store.put(base.PACK, [b'old'])
        other.delete(base.PACK)
        other.put(base.PACK, [b'new'])
        self.assertEqual(b'new', self.store.get(base.PACK))
        self.assertEqual(3, self.store.stat(base.PACK).size_bytes)
        self.assertEqual([base.PACK], self.names())
        self.store.delete(base.PACK)
        self.assertEqual([], [*other.list()])

    def test_when_another_pruned_then_put_makes_anew(self) -> None:
        other = self.open_store()
        self.store.put(base.PACK, [b'old'])
        other.delete(base.PACK)
        self.store.put(base.PACK, [b'new'])
        self.assertEqual(b'new', other.get(base.PACK))

    def test_when_pruned_at_any_call_of_a_put_then_it_is_kept(self) -> None:
        other = self.open_store()
        number, done = 0, False
        while not done:
            number += 1
            done = True

            def prune(name: str, real: Callable[[], Any]) -> Any:
                nonlocal done
                done = False
                with contextlib.suppress(errors.TargetError):
                    other.delete(base.PACK)
                    for directory, _, _ in os.walk(self.root, topdown=False):
                        if directory != self.root:
                            with contextlib.suppress(OSError):
                                os.rmdir(directory)
                return real()

            with base.at_call(number, prune):
                self.store.put(base.MANIFEST, [b'data'])
            self.assertEqual(b'data', other.get(base.MANIFEST))
            self.store.delete(base.MANIFEST)
        self.assertGreater(number, 15)

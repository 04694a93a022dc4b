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


"""Somebody else plants things where objects go."""

from __future__ import annotations

from collections.abc import Callable
import os
import socket
from typing import Any

from backupkit import errors
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base


class PlantedTest(base.StoreTestCase):
    """Somebody else plants things where objects and directories go."""

    def setUp(self) -> None:
        super().setUp()
        self.outside = os.path.join(self.base, 'outside')
        os.mkdir(self.outside)
        self.secret = os.path.join(self.outside, 'secret')
        with open(self.secret, 'wb') as file:
            file.write(b'secret')
        self.store.put('a/b/x', [b'data'])
        # What is kept open must not decide the outcome.
        self.store = self.open_store()

    def _assert_refused(self, name: str, *, delete: bool = True) -> None:
        calls: list[Callable[[str], object]] = [
            self.store.get,
            self.store.stat,
            lambda name: self.store.get_into(name, 0, [bytearray(1)]),
            lambda name: self.store.put(name, [b'data']),
        ]
        if delete:
            calls.append(self.store.delete)
        for call in calls:
            with self.assertRaises(errors.TargetError) as caught:
                call(name)
            self.assertNotIsInstance(
                caught.exception, errors.ObjectNotFound | errors.ObjectExists
            )
        self._assert_outside_is_whole()

    def _assert_outside_is_whole(self) -> None:
        self.assertEqual(['secret'], os.listdir(self.outside))
        with open(self.secret, 'rb') as file:
            self.assertEqual(b'secret', file.read())

    def test_when_object_is_a_link_then_it_is_not_followed(self) -> None:
        os.symlink(self.secret, self.path('a/b/link'))
        self._assert_refused('a/b/link', delete=False)
        self.store.delete('a/b/link')
        self._assert_outside_is_whole()

    def test_when_object_is_a_dangling_link_then_nothing_is_made(
        self,
    ) -> None:
        os.symlink(self.outside + '/new', self.path('a/b/link'))
        self._assert_refused('a/b/link', delete=False)

    def test_when_directory_is_a_link_then_it_is_not_followed(self) -> None:
        os.symlink(self.outside, self.path('a/link'))
        self._assert_refused('a/link/secret')
        self._assert_refused('a/link/d/secret')
        self.assertEqual([], [*self.store.list('a/')][1:])

    def test_when_listed_directory_is_a_link_then_it_is_refused(
        self,
    ) -> None:
        os.symlink(self.outside, self.path('a/link'))
        with self.assertRaises(errors.TargetError):
            next(self.store.list('a/link/'))

    def test_when_directory_is_a_fifo_then_it_is_refused(self) -> None:
        os.mkfifo(self.path('a/fifo'))
        self._assert_refused('a/fifo/x')

    def test_when_object_is_a_fifo_then_nothing_blocks(self) -> None:
        os.mkfifo(self.path('a/b/fifo'))
        self._assert_refused('a/b/fifo', delete=False)

    def test_when_object_is_a_socket_then_it_is_refused(self) -> None:
        with socket.socket(socket.AF_UNIX) as planted:
            planted.bind(self.path('a/b/socket'))
        self._assert_refused('a/b/socket', delete=False)

    def test_when_object_is_a_hard_link_then_delete_spares_the_file(
        self,
    ) -> None:
        os.link(self.secret, self.path('a/b/hard'))
        with self.assertRaises(errors.ObjectExists):
            self.store.put('a/b/hard', [b'data'])
        self.store.delete('a/b/hard')
        self._assert_outside_is_whole()

    def test_when_temporary_file_gets_a_second_name_then_put_fails(
        self,
    ) -> None:
        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name == 'pwritev':
                leftover = self.leftovers()[0]
                os.link(leftover, os.path.join(self.base, 'stolen'))
            return real(*args, **kwargs)

        with (
            seam.intercepted(intercept),
            self.assertRaisesRegex(errors.TargetError, '2 names'),
        ):
            self.store.put('a/y', [b'data'])
        self.assertEqual(['a/b/x'], self.names())

    def test_when_leftover_is_a_link_then_sweep_leaves_it(self) -> None:
        os.symlink(self.secret, self.path('a/.tmp-1'))
        os.mkfifo(self.path('a/.tmp-2'))
        self.assertEqual(0, self.store.sweep())
        self._assert_outside_is_whole()

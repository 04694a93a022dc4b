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


"""What is particular to a store of files: modes, links, directories."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
import contextlib
import os
import socket
import stat
from typing import Any

from backupkit.drivers import store as store_
from backupkit import errors
from backupkit_plugins.targets.posix import fsops
from backupkit_plugins.targets.posix import store as posix
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base

_HOSTILE = (
    '',
    '/',
    '/etc/passwd',
    '..',
    '../x',
    'a/../../x',
    'a/./b',
    'a//b',
    'a/',
    '/a',
    '.tmp-0123456789abcdef',
    'a/.hidden',
    'A',
    'a\0b',
    'a\nb',
    'a b',
    'a\\b',
    '-rf',
    '%2e%2e/x',
    'ä',
    '\udcff',
    'a' * 201,
)


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _modes(root: str) -> set[tuple[str, int]]:
    found = set()
    for directory, _, files in os.walk(root):
        mode = stat.S_IMODE(os.stat(directory).st_mode)
        found.add(('directory', mode))
        for name in files:
            mode = stat.S_IMODE(os.stat(f'{directory}/{name}').st_mode)
            found.add(('file', mode))
    return found


class ModesTest(base.StoreTestCase):
    def _assert_modes(self, mask: int) -> None:
        with _umask(mask):
            self.store.put(base.PACK, [b'data'])
        self.assertEqual(
            {('directory', 0o770), ('file', 0o660)}, _modes(self.root)
        )

    def test_when_umask_is_zero_then_modes_are_exact(self) -> None:
        self._assert_modes(0o000)

    def test_when_umask_is_usual_then_modes_are_exact(self) -> None:
        self._assert_modes(0o022)

    def test_when_umask_is_strict_then_modes_are_exact(self) -> None:
        self._assert_modes(0o077)

    def test_when_things_are_made_then_they_are_never_wider(self) -> None:
        asked = []

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            result = real(*args, **kwargs)
            if name in ('create', 'mkdir'):
                found = os.stat(args[1], dir_fd=args[0])
                asked.append((name, stat.S_IMODE(found.st_mode)))
            return result

        with _umask(0), seam.intercepted(intercept):
            self.store.put(base.PACK, [b'data'])
        self.assertEqual({('create', 0o660), ('mkdir', 0o770)}, {*asked})

    def test_when_root_has_setgid_then_directories_inherit_it(self) -> None:
        os.mkdir(self.root)
        os.chmod(self.root, 0o2770)
        self.store.put(base.PACK, [b'data'])
        self.assertEqual(
            {('directory', 0o2770), ('file', 0o660)}, _modes(self.root)
        )

    def test_when_root_exists_then_its_mode_is_left_alone(self) -> None:
        os.mkdir(self.root)
        os.chmod(self.root, 0o750)
        self.store.put('x', [b'data'])
        self.assertEqual(0o750, stat.S_IMODE(os.stat(self.root).st_mode))


class RootTest(base.StoreTestCase):
    def test_when_only_read_then_root_is_not_made(self) -> None:
        self.assertEqual([], [*self.store.list()])
        self.assertEqual([], [*self.store.list('backups/')])
        self.assertEqual(0, self.store.sweep())
        self.store.delete('x')
        with self.assertRaises(errors.ObjectNotFound):
            self.store.get('x')
        with self.assertRaises(errors.ObjectNotFound):
            self.store.stat('x')
        self.assertFalse(os.path.exists(self.root))

    def test_when_put_then_root_is_made(self) -> None:
        self.store.put('x', [b'data'])
        self.assertEqual(b'data', self.store.get('x'))

    def test_when_another_makes_the_root_then_it_is_seen(self) -> None:
        self.open_store().put('x', [b'data'])
        self.assertEqual(['x'], self.names())

    def test_when_parent_is_missing_then_target_is_missing(self) -> None:
        with self.assertRaisesRegex(errors.TargetMissing, 'mounted'):
            posix.PosixStore(os.path.join(self.base, 'no', 'repository'))
        self.assertEqual([], os.listdir(self.base))

    def test_when_parent_goes_before_put_then_target_is_missing(
        self,
    ) -> None:
        parent = os.path.join(self.base, 'parent')
        os.mkdir(parent)
        with posix.PosixStore(os.path.join(parent, 'r')) as store:
            os.rmdir(parent)
            with self.assertRaises(errors.TargetMissing):
                store.put('x', [b'data'])

    def test_when_root_is_removed_then_target_is_missing(self) -> None:
        self.store.put('x', [b'data'])
        os.unlink(self.path('x'))
        os.rmdir(self.root)
        calls: list[Callable[[], object]] = [
            lambda: self.store.put('x', [b'data']),
            lambda: self.store.put('a/x', [b'data']),
            lambda: self.store.get('x'),
            lambda: self.store.stat('a/x'),
            lambda: [*self.store.list()],
            lambda: self.store.delete('x'),
            self.store.sweep,
        ]
        for call in calls:
            with self.assertRaises(errors.TargetMissing):
                call()
        self.assertFalse(os.path.exists(self.root))

    def test_when_root_is_replaced_then_the_opened_one_is_used(self) -> None:
        self.store.put('x', [b'data'])
        moved = self.root + '.moved'
        os.rename(self.root, moved)
        os.mkdir(self.root)
        self.store.put('y', [b'data'])
        self.assertEqual(['x', 'y'], self.names())
        self.assertEqual([], os.listdir(self.root))

    def test_when_root_is_a_file_then_it_is_an_error(self) -> None:
        with open(self.root, 'wb'):
            pass
        with self.assertRaises(errors.TargetError):
            self.open_store()

    def test_when_root_is_a_link_of_the_operator_then_it_is_followed(
        self,
    ) -> None:
        real = os.path.join(self.base, 'real')
        os.mkdir(real)
        os.symlink(real, self.root)
        self.open_store().put('x', [b'data'])
        self.assertEqual(['x'], os.listdir(real))

    def test_when_closed_then_it_cannot_be_used(self) -> None:
        self.store.put('a/x', [b'data'])
        self.store.close()
        self.store.close()
        with self.assertRaises(errors.TargetError):
            self.store.get('a/x')

    def test_when_many_directories_are_used_then_few_stay_open(self) -> None:
        for number in range(150):
            self.store.put(f'd{number}/x', [b'data'])
        before = len(os.listdir('/proc/self/fd'))
        self.store.close()
        closed = before - len(os.listdir('/proc/self/fd'))
        self.assertLessEqual(closed, 50)
        self.assertGreater(closed, 1)


class NamesTest(base.StoreTestCase):
    def test_when_name_is_hostile_then_nothing_is_touched(self) -> None:
        os.mkdir(self.root)
        calls = []
        for name in _HOSTILE:
            for call in (
                lambda name: self.store.put(name, [b'data']),
                self.store.get,
                self.store.stat,
                self.store.delete,
                lambda name: self.store.get_into(name, 0, [bytearray(1)]),
            ):
                with self.assertRaises(errors.FormatError):
                    call(name)
                calls.append(name)
        self.assertEqual(5 * len(_HOSTILE), len(calls))
        self.assertEqual([], os.listdir(self.root))
        self.assertEqual(['repository'], os.listdir(self.base))

    def test_when_prefix_is_hostile_then_nothing_is_listed(self) -> None:
        self.store.put('x', [b'data'])
        for prefix in ('/', '../', 'a/../', './', '.hidden/', 'x', 'a//'):
            with self.assertRaises(errors.FormatError):
                next(self.store.list(prefix), None)

    def test_when_other_things_lie_there_then_list_hides_them(self) -> None:
        self.store.put('a/x', [b'data'])
        os.mkdir(self.path('lost+found'))
        os.mkdir(self.path('.snapshot'))
        os.mkdir(self.path('a/d'))
        os.mkfifo(self.path('a/fifo'))
        os.symlink(self.path('a/x'), self.path('a/link'))
        os.symlink(self.path('a'), self.path('linked'))
        for name in (
            'a/.tmp-1',
            '.backupkit-storage',
            'README',
            '.snapshot/x',
        ):
            with open(self.path(name), 'wb'):
                pass
        self.assertEqual(['a/x'], self.names())

    def test_when_root_holds_closed_lost_and_found_then_list_works(
        self,
    ) -> None:
        self.store.put('x', [b'data'])
        os.mkdir(self.path('lost+found'), 0o000)
        self.assertEqual(['x'], self.names())

    def test_when_name_is_a_directory_then_there_is_no_object(self) -> None:
        self.store.put('a/b/x', [b'data'])
        with self.assertRaises(errors.ObjectNotFound):
            self.store.get('a/b')
        with self.assertRaises(errors.ObjectNotFound):
            self.store.stat('a')
        with self.assertRaises(errors.TargetError):
            self.store.put('a/b', [b'data'])
        with self.assertRaises(errors.TargetError):
            self.store.delete('a')
        self.assertEqual(['a/b/x'], self.names())

    def test_when_name_goes_through_an_object_then_there_is_none(
        self,
    ) -> None:
        self.store.put('a', [b'data'])
        for name in ('a/b', 'a/b/c'):
            with self.assertRaises(errors.ObjectNotFound):
                self.store.get(name)
            with self.assertRaises(errors.ObjectNotFound):
                self.store.stat(name)
            with self.assertRaises(errors.TargetError):
                self.store.put(name, [b'data'])
            self.store.delete(name)
            self.assertEqual([], [*self.store.list('a/')])
        self.assertEqual(b'data', self.store.get('a'))


class RangesTest(base.StoreTestCase):
    def test_when_parts_are_many_then_all_are_kept(self) -> None:
        parts = [os.urandom(number % 7) for number in range(5000)]
        self.store.put('x', parts)
        self.assertEqual(b''.join(parts), self.store.get('x'))

    def test_when_parts_are_large_then_all_are_kept(self) -> None:
        parts: list[store_.Buffer] = [
            os.urandom(9_000_000),
            bytearray(os.urandom(8 << 20)),
            memoryview(os.urandom(3)),
        ]
        self.store.put('x', parts)
        self.assertEqual(b''.join(parts), self.store.get('x'))

    def test_when_object_is_empty_then_it_is_kept(self) -> None:
        empty: list[list[store_.Buffer]] = [[], [b''], [b'', bytearray()]]
        for number, parts in enumerate(empty):
            self.store.put(f'x{number}', parts)
            self.assertEqual(b'', self.store.get(f'x{number}'))
            self.assertEqual(0, self.store.stat(f'x{number}').size_bytes)

    def test_when_range_leaves_the_object_then_it_is_damaged(self) -> None:
        self.store.put('x', [b'0123456789'])
        ranges = [(0, 11), (9, 2), (11, 0), (11, None), (1 << 62, 1), (-1, 1)]
        for offset, length in ranges:
            with self.assertRaises(errors.Damaged):
                self.store.get('x', offset, length)
        with self.assertRaises(errors.Damaged):
            self.store.get_into('x', 5, [bytearray(3), bytearray(3)])

    def test_when_range_ends_with_the_object_then_it_is_read(self) -> None:
        self.store.put('x', [b'0123456789'])
        self.assertEqual(b'89', self.store.get('x', 8))
        self.assertEqual(b'', self.store.get('x', 10, 0))

    def test_when_buffers_are_many_then_each_is_filled(self) -> None:
        data = os.urandom(3000)
        self.store.put('x', [data])
        buffers = [bytearray(1) for _ in range(2990)]
        self.store.get_into('x', 10, buffers)
        self.assertEqual(data[10:], b''.join(buffers))


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
        def refuse(name: str, real: Callable[[], Any]) -> Any:
            raise OSError(28, 'No space left on device')

        with base.at_call(0, refuse) as calls:
            self.store.put('d/x', [b'data'])
        number = calls.index('pwritev') + 1
        self.store.delete('d/x')
        self.store.close()
        self.store = self.open_store()
        with (
            base.at_call(number, refuse),
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


class OtherFileSystemTest(base.StoreTestCase):
    def test_when_mounted_below_the_root_then_it_is_an_error(self) -> None:
        self.store.put('a/x', [b'data'])
        self.store.close()
        store = self.open_store()

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            result = real(*args, **kwargs)
            if name == 'fstat':
                below = os.readlink(f'/proc/self/fd/{args[0]}')
                if below == self.path('a'):
                    fields = [*result]
                    fields[2] += 1
                    return os.stat_result(fields)
            return result

        with seam.intercepted(intercept):
            with self.assertRaisesRegex(errors.TargetError, 'another file'):
                store.get('a/x')
            with self.assertRaisesRegex(errors.TargetError, 'another file'):
                store.put('a/y', [b'data'])
            with self.assertRaisesRegex(errors.TargetError, 'another file'):
                [*store.list()]
        self.assertEqual(b'data', self.open_store().get('a/x'))


class SeamTest(base.StoreTestCase):
    def test_when_store_works_then_only_the_seam_changes_files(self) -> None:
        # Whoever writes past it is invisible to the power-cut recorder.
        harmless = {'path', 'stat_result', 'sysconf', 'lstat', 'geteuid'}
        package = os.path.dirname(fsops.__file__)
        for name in os.listdir(package):
            if name.endswith('.py') and name != 'fsops.py':
                with open(os.path.join(package, name)) as file:
                    tree = ast.parse(file.read())
                self.assertLessEqual(_used_of_os(tree), harmless, name)


def _used_of_os(tree: ast.AST) -> set[str]:
    """Return what code takes from os, and open where it calls that."""
    used = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id='os'), attr=name):
                used.add(name)
            case ast.Call(func=ast.Name(id='open')):
                used.add('open')
            case ast.Import(names=names):
                used |= {n.name for n in names} & {'pathlib', 'shutil'}
    return used

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


"""Every call into the kernel fails once; nothing is lost or left."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import errno
import itertools
import os
from typing import Any

from backupkit import errors
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base

_DATA = os.urandom(10_000)
_OLD = 'backups/aa/bb/one/packs/0000/p0'
_ERRORS = {
    errno.EIO: errors.TargetError,
    errno.ENOSPC: errors.TargetFull,
    errno.EDQUOT: errors.TargetFull,
    errno.EROFS: errors.TargetReadOnly,
    errno.ESTALE: errors.TargetMissing,
    errno.EACCES: errors.TargetError,
    errno.ETIMEDOUT: errors.TargetUnavailable,
}
_OPENERS = frozenset({'open_root', 'open_directory', 'open_file', 'create'})


class EveryCallTest(base.StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store.put(_OLD, [_DATA])

    def _fail_each(
        self,
        action: Callable[[], object],
        code: int,
        check: Callable[[bool], None],
        *,
        late: bool = False,
    ) -> None:
        """Fail the first call, then the second, until none is left.

        :param check: is told whether the action returned
        :param late: fail after the call has done its work
        """

        def fail(name: str, real: Callable[[], Any]) -> Any:
            if late and name not in _OPENERS:
                real()
            raise OSError(code, os.strerror(code))

        for number in itertools.count(1):
            self.store.close()
            self.store = self.open_store()
            returned = False
            with base.at_call(number, fail) as calls:
                try:
                    action()
                    returned = True
                except errors.ObjectExists:
                    pass
                except errors.TargetError as exc:
                    self.assertIsInstance(exc, _ERRORS[code], calls[-1])
            self._check_always()
            check(returned)
            if len(calls) < number:
                self.assertTrue(returned)
                self.assertGreater(number, 2)
                return

    def _check_always(self) -> None:
        other = self.open_store()
        self.assertEqual(_DATA, other.get(_OLD))
        other.sweep()
        self.assertEqual([], self.leftovers())
        other.close()

    def _fail_each_of_put(self, code: int, *, late: bool = False) -> None:
        def check(returned: bool) -> None:
            self.assertEqual(returned, base.PACK in self.names())
            if not returned:
                self.store.put(base.PACK, [_DATA])
            self.assertEqual(_DATA, self.store.get(base.PACK))
            self.store.delete(base.PACK)

        def put() -> None:
            self.store.put(base.PACK, [_DATA[:1], _DATA[1:]])

        self._fail_each(put, code, check, late=late)

    def test_when_a_call_of_put_fails_then_nothing_is_visible(self) -> None:
        for code in _ERRORS:
            self._fail_each_of_put(code)

    def test_when_a_reply_of_put_is_lost_then_nothing_is_torn(self) -> None:
        for code in (errno.EIO, errno.ESTALE, errno.ENOSPC):
            self._fail_each_of_put(code, late=True)

    def test_when_a_call_of_get_fails_then_it_raises(self) -> None:
        for code in _ERRORS:
            self._fail_each(
                lambda: self.assertEqual(_DATA, self.store.get(_OLD)),
                code,
                lambda returned: None,
            )

    def test_when_a_call_of_list_fails_then_it_is_not_short(self) -> None:
        self.store.put(base.MANIFEST, [_DATA])
        for code in _ERRORS:
            self._fail_each(
                lambda: self.assertEqual([base.MANIFEST, _OLD], self.names()),
                code,
                lambda returned: None,
            )

    def test_when_a_call_of_delete_fails_then_it_can_be_repeated(
        self,
    ) -> None:
        def check(returned: bool) -> None:
            if returned:
                self.assertNotIn(base.PACK, self.names())
            self.store.delete(base.PACK)
            self.assertEqual([_OLD], self.names())
            self.store.put(base.PACK, [_DATA])

        for code in _ERRORS:
            with contextlib.suppress(errors.ObjectExists):
                self.store.put(base.PACK, [_DATA])
            for late in (False, True):
                self._fail_each(
                    lambda: self.store.delete(base.PACK),
                    code,
                    check,
                    late=late,
                )

    def test_when_a_call_of_sweep_fails_then_objects_stay(self) -> None:
        def check(returned: bool) -> None:
            with open(self.path('.tmp-0'), 'wb'):
                pass

        self._fail_each(lambda: self.store.sweep(), errno.EIO, check)  # noqa: PLW0108 - self.store changes


class WritingTest(base.StoreTestCase):
    def _put_with(self, **calls: Callable[..., Any]) -> None:
        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name in calls:
                return calls[name](real, *args, **kwargs)
            return real(*args, **kwargs)

        with seam.intercepted(intercept):
            self.store.put(
                'd/x', [_DATA[:3], b'', _DATA[3:4000], _DATA[4000:]]
            )

    def test_when_writes_are_short_then_all_is_written(self) -> None:
        lengths = itertools.cycle((1, 3, 700))

        def short(
            real: Callable[..., int], fd: int, buffers: Any, offset: int
        ) -> int:
            data = b''.join(buffers)
            return real(fd, [data[: next(lengths)]], offset)

        self._put_with(pwritev=short)
        self.assertEqual(_DATA, self.store.get('d/x'))

    def test_when_reads_are_short_then_all_is_read(self) -> None:
        self.store.put('d/x', [_DATA])

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name == 'pread':
                fd, length, offset = args
                return real(fd, min(length, 999), offset)
            if name == 'preadv':
                fd, buffers, offset = args
                return real(fd, [memoryview(buffers[0])[:77]], offset)
            return real(*args, **kwargs)

        buffers = [bytearray(1), bytearray(500), bytearray(9499)]
        with seam.intercepted(intercept):
            self.assertEqual(_DATA, self.store.get('d/x'))
            self.store.get_into('d/x', 0, buffers)
        self.assertEqual(_DATA, b''.join(buffers))

    def test_when_nothing_is_written_then_it_is_an_error(self) -> None:
        with self.assertRaises(errors.TargetError):
            self._put_with(pwritev=lambda *args: 0)
        self.assertEqual([], self.names())

    def test_when_bytes_get_lost_then_the_size_tells(self) -> None:
        def lose(
            real: Callable[..., int], fd: int, buffers: Any, offset: int
        ) -> int:
            return sum(len(buffer) for buffer in buffers)

        with self.assertRaisesRegex(errors.TargetError, 'keeps 0'):
            self._put_with(pwritev=lose)
        self.assertEqual([], self.names())

    def test_when_sync_fails_then_it_is_not_tried_again(self) -> None:
        synced = []

        def fail_file(real: Callable[[int], None], fd: int) -> None:
            if '.tmp-' not in os.readlink(f'/proc/self/fd/{fd}'):
                return real(fd)
            synced.append(fd)
            raise OSError(errno.EIO, 'Input/output error')

        with self.assertRaises(errors.TargetError):
            self._put_with(fsync=fail_file)
        self.assertEqual(1, len(synced))
        self.assertEqual([], self.names())
        self.assertEqual([], self.leftovers())

    def test_when_sync_of_the_directory_fails_then_nothing_is_visible(
        self,
    ) -> None:
        self.store.put('d/other', [b'data'])
        linked = []

        def note(real: Callable[..., None], *args: Any) -> None:
            real(*args)
            linked.append(args)

        def fail(real: Callable[[int], None], fd: int) -> None:
            if linked:
                raise OSError(errno.EIO, 'Input/output error')
            real(fd)

        with self.assertRaises(errors.TargetError):
            self._put_with(fsync=fail, link=note)
        self.assertEqual(['d/other'], self.names())

    def test_when_link_is_replayed_then_the_put_succeeds(self) -> None:
        def replayed(real: Callable[..., None], *args: Any) -> None:
            real(*args)
            real(*args)

        self._put_with(link=replayed)
        self.assertEqual(_DATA, self.store.get('d/x'))
        self.assertEqual([], self.leftovers())

    def test_when_another_is_first_then_the_object_exists(self) -> None:
        other = self.open_store()

        def overtaken(real: Callable[..., None], *args: Any) -> None:
            with open(self.path('d/x'), 'wb') as file:
                file.write(b'other')
            real(*args)

        with self.assertRaises(errors.ObjectExists):
            self._put_with(link=overtaken)
        self.assertEqual(b'other', other.get('d/x'))
        self.assertEqual([], self.leftovers())

    def test_when_locks_are_not_supported_then_put_works(self) -> None:
        def refuse(real: Callable[..., None], fd: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, 'No locks available')

        self._put_with(flock=refuse)
        self.assertEqual(_DATA, self.store.get('d/x'))

    def test_when_locks_are_not_supported_then_sweep_spares_all(self) -> None:
        self.store.put('d/x', [_DATA])
        with open(self.path('d/.tmp-1'), 'wb'):
            pass

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name == 'flock':
                raise OSError(errno.ENOLCK, 'No locks available')
            return real(*args, **kwargs)

        with seam.intercepted(intercept):
            self.assertEqual(0, self.store.sweep())
        self.assertEqual(1, len(self.leftovers()))


class MessagesTest(base.StoreTestCase):
    def _message(self, code: int) -> str:
        def fail(name: str, real: Callable[[], Any]) -> Any:
            raise OSError(code, os.strerror(code))

        self.store.put('d/x', [b'data'])
        with (
            base.at_call(1, fail),
            self.assertRaises(errors.TargetError) as caught,
        ):
            self.store.put('d/y', [b'data'])
        return str(caught.exception)

    def test_when_full_then_path_and_free_bytes_are_told(self) -> None:
        message = self._message(errno.ENOSPC)
        self.assertIn(self.path('d/y'), message)
        self.assertRegex(message, r'free: \d+ bytes')

    def test_when_over_quota_then_it_is_called_so(self) -> None:
        self.assertIn('quota', self._message(errno.EDQUOT))

    def test_when_refused_then_owner_and_mode_are_told(self) -> None:
        message = self._message(errno.EACCES)
        self.assertIn(self.path('d'), message)
        self.assertRegex(
            message, f'uid {os.getuid()}, gid {os.getgid()} with mode 0770'
        )

    def test_when_read_only_then_it_is_called_so(self) -> None:
        self.assertIn('read-only', self._message(errno.EROFS))

    def test_when_translated_then_the_cause_is_kept(self) -> None:
        def fail(name: str, real: Callable[[], Any]) -> Any:
            raise OSError(errno.EIO, 'Input/output error')

        self.store.put('x', [b'data'])
        with (
            base.at_call(1, fail),
            self.assertRaises(errors.TargetError) as caught,
        ):
            self.store.get('x')
        self.assertIsInstance(caught.exception.__cause__, OSError)

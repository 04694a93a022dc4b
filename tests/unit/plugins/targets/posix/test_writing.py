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


"""Large objects go past the page cache, whatever memory they lie in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import errno
import os
from typing import Any

from backupkit.copy import direct
from backupkit_plugins.targets.posix import fsops
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base

_PAGE = direct.ALIGNMENT
_SIZES = (
    (128 << 10) - 1,
    128 << 10,
    (128 << 10) + 1,
    1 << 20,
    (1 << 20) + _PAGE - 1,
    (9 << 20) + 4097,
)


def _aligned(data: bytes) -> memoryview:
    memory = direct.aligned(len(data))
    memory[:] = data
    return memory


class WritingTest(base.StoreTestCase):
    def _assert_kept(self, parts: Sequence[fsops.Buffer]) -> None:
        self.store.put('d/x', parts)
        self.assertEqual(b''.join(parts), self.store.get('d/x'))
        self.store.delete('d/x')

    def _assert_all_shapes_are_kept(self) -> None:
        for size in _SIZES:
            data = os.urandom(size)
            # From the start of a page, from within one, behind a small
            # part, before small ones, and twice.
            self._assert_kept([_aligned(data)])
            self._assert_kept([_aligned(data)[1:]])
            self._assert_kept([b'x', _aligned(data)])
            self._assert_kept([_aligned(data), b'tail', b'', b'table' * 99])
            self._assert_kept([_aligned(data), _aligned(data)])
            self._assert_kept(
                [data[at : at + 999] for at in range(0, size, 999)]
            )

    def test_when_sizes_and_memory_differ_then_all_is_kept(self) -> None:
        self._assert_all_shapes_are_kept()

    def _with(self, **calls: Callable[..., Any]) -> None:
        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name in calls:
                return calls[name](real, *args, **kwargs)
            return real(*args, **kwargs)

        with seam.intercepted(intercept):
            self._assert_all_shapes_are_kept()

    def test_when_direct_is_refused_at_once_then_all_is_kept(self) -> None:
        def refuse(real: object, fd: int, *, direct: bool) -> None:
            raise OSError(errno.EINVAL, 'Invalid argument')

        self._with(set_direct=refuse)

    def test_when_direct_is_refused_at_a_write_then_all_is_kept(self) -> None:
        state = {'direct': False}

        def set_direct(
            real: Callable[..., None], fd: int, *, direct: bool
        ) -> None:
            state['direct'] = direct
            real(fd, direct=direct)

        def refuse(real: Callable[..., int], *args: Any) -> int:
            if state['direct']:
                raise OSError(errno.EINVAL, 'Invalid argument')
            return real(*args)

        self._with(set_direct=set_direct, pwritev=refuse)

    def test_when_direct_writes_are_short_then_all_is_kept(self) -> None:
        def short(
            real: Callable[..., int], fd: int, views: Any, offset: int
        ) -> int:
            return real(
                fd, [views[0][: max(512, len(views[0]) // 1024 * 512)]], offset
            )

        self._with(pwritev=short)

    def test_when_aligned_then_it_is_written_from_where_it_is(self) -> None:
        written = []
        data = _aligned(os.urandom(8 << 20))

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name == 'pwritev':
                written.append((args[1][0].obj is data.obj, len(args[1][0])))
            return real(*args, **kwargs)

        with seam.intercepted(intercept):
            self.store.put('x', [data, b'tail'])
        self.assertEqual((True, 8 << 20), written[0])
        self.assertEqual((False, 4), written[-1])

    def test_when_small_then_one_call_writes_it(self) -> None:
        written = []

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name in ('pwritev', 'set_direct'):
                written.append(name)
            return real(*args, **kwargs)

        with seam.intercepted(intercept):
            self.store.put('x', [b'a', b'b', b'c' * 1000])
        self.assertEqual(['pwritev'], written)


class ReadingTest(base.StoreTestCase):
    def test_when_range_is_large_then_it_is_exact(self) -> None:
        data = os.urandom(3_000_001)
        self.store.put('x', [data])
        for offset, length in (
            (0, len(data)),
            (1, 1 << 20),
            (4095, 200_000),
            (len(data) - 150_000, 150_000),
        ):
            buffers = [bytearray(1), bytearray(length - 1)]
            self.store.get_into('x', offset, buffers)
            self.assertEqual(data[offset : offset + length], b''.join(buffers))

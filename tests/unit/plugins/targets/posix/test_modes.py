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


"""Modes are exact under any umask, from the first call on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
import stat
from typing import Any

from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base


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

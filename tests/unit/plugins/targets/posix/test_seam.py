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


"""All goes through the seam, and nothing goes past it."""

from __future__ import annotations

import ast
from collections.abc import Callable
import errno
import os
from typing import Any

from backupkit import errors
from backupkit_plugins.targets.posix import fsops
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base


class SeamTest(base.StoreTestCase):
    def test_when_store_works_then_only_the_seam_changes_files(self) -> None:
        # Whoever writes past it is invisible to the power-cut recorder.
        harmless = {'path', 'stat_result', 'sysconf', 'lstat'}
        harmless |= {'geteuid', 'getegid', 'getgroups'}
        harmless |= {'R_OK', 'W_OK', 'X_OK'}
        package = os.path.dirname(fsops.__file__)
        for name in os.listdir(package):
            if name.endswith('.py') and name != 'fsops.py':
                with open(os.path.join(package, name)) as file:
                    tree = ast.parse(file.read())
                self.assertLessEqual(_used_of_os(tree), harmless, name)

    def test_when_all_is_used_then_every_call_of_the_seam_is_made(
        self,
    ) -> None:
        made = set()

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            made.add(name)
            if name == 'pwritev' and args[1] == [b'full']:
                raise OSError(errno.ENOSPC, 'No space left on device')
            return real(*args, **kwargs)

        with seam.intercepted(intercept):
            self.store.put('d/x', [b'data'])
            self.store.check_access(write=True)
            self.store.get('d/x')
            self.store.get_into('d/x', 0, [bytearray(4)])
            self.store.put('d/large', [bytes(1 << 20)])
            self.store.get_into('d/large', 0, [bytearray(1 << 20)])
            self.store.delete('d/large')
            self.assertEqual(['d/x'], self.names())
            self.store.delete('d/x')
            with self.assertRaises(errors.TargetFull):
                self.store.put('d/x', [b'full'])
        self.assertEqual({*seam.CALLS}, made)


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

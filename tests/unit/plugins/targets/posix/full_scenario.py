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


"""Fill a small file system with objects, then empty it again.

Run by :mod:`tests.unit.plugins.targets.posix.test_full` in a mount
namespace of its own: ``python -m ... DIRECTORY``.
"""

from __future__ import annotations

import os
import sys

from backupkit import errors
from backupkit_plugins.targets.posix import store as store_


def _expect(*, that: bool, message: object) -> None:
    if not that:
        raise SystemExit(f'failed: {message}')


def _fill(store: store_.PosixStore, data: bytes) -> list[str]:
    """Put objects until there is no space; return their names."""
    kept: list[str] = []
    while True:
        name = f'd{len(kept)}/x'
        try:
            store.put(name, [data, data])
        except errors.TargetFull as exc:
            _expect(that='free: ' in str(exc), message=exc)
            _expect(that=name in str(exc), message=exc)
            return kept
        kept.append(name)


def main(place: str) -> None:
    """Put until full, read all, delete one, put one, sweep, empty."""
    root = os.path.join(place, 'repository')
    data = os.urandom(30_000)
    with store_.PosixStore(root) as store:
        kept = _fill(store, data)
        _expect(that=len(kept) > 5, message=kept)
        left = sorted(os.listdir(root))
        _expect(that=left == sorted(n[:-2] for n in kept), message=left)
        while True:
            try:
                store.put(f's{len(kept)}', [b'x' * 4096])
            except errors.TargetFull:
                break
            kept.append(f's{len(kept)}')
        listed = sorted(found.name for found in store.list())
        _expect(that=listed == sorted(kept), message=listed)
        for name in kept:
            whole = data * 2 if '/' in name else b'x' * 4096
            _expect(that=store.get(name) == whole, message=name)
        store.delete(kept[0])
        store.put(kept[0], [data, data])
        _expect(that=store.sweep() == 0, message='a leftover')
        for name in kept:
            store.delete(name)
        _expect(that=os.listdir(root) == [], message=os.listdir(root))
    sys.stdout.write('all is well\n')


if __name__ == '__main__':
    main(sys.argv[1])

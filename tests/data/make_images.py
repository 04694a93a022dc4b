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

"""Makes golden backups of the layout ``image``: volumes, and a repository.

Run by hand, when a format is new and before anything of it is released::

    python -m tests.data.make_images volumes DIRECTORY
    python -m tests.data.make_images repository DIRECTORY

``expected.json`` tells of each backup volume, and ``repository.json`` of
each backup in ``repository.tar.gz``, the size and the SHA-256 of its bytes.
What is there is never made again, only added to.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pathlib
import random
import sys
import tarfile
import tempfile

from backupkit.drivers import loader
from backupkit.testing import cycle
from backupkit.testing import filed
from backupkit.testing.memory import catalog
from backupkit.testing import plain
from backupkit.testing import sections

_SIZE = 5 * (256 << 10) + 1234


def make(directory: pathlib.Path) -> None:
    """Make all golden backup volumes."""
    expected = {}
    for digest in ('blake3', 'sha256'):
        with tempfile.TemporaryDirectory() as place:
            expected.update(_make(directory, pathlib.Path(place), digest))
    text = json.dumps(expected, indent=2, sort_keys=True)
    (directory / 'expected.json').write_text(f'{text}\n')


def _make(
    directory: pathlib.Path, place: pathlib.Path, digest: str
) -> dict[str, dict[str, object]]:
    """Make a full backup and an incremental one, with this digest."""
    conf = sections.configuration(
        {
            'backend:place': {'driver': 'file', 'volumes_dir': place},
            'target:golden': {
                'driver': 'volume',
                'backend': 'place',
                'digest': digest,
            },
        }
    )
    kept = cycle.Cycle(loader.load_target(conf, 'golden'))
    # Few bytes repeated: a golden file is small.
    data = bytearray(random.Random(digest).randbytes(1024) * (_SIZE // 1024))
    data += bytes(_SIZE - len(data))
    data[300_000:900_000] = bytes(600_000)
    volume = plain.PlainVolume(bytes(data), 'golden')
    kept.backup(volume)
    volume.data[1_000_000:1_000_100] = bytes(range(100))
    kept.backup(volume)
    found: dict[str, dict[str, object]] = {}
    for backup_id, content in volume.history.items():
        packed = gzip.compress((place / f'backupkit-{backup_id}').read_bytes())
        (directory / f'{backup_id}.gz').write_bytes(packed)
        found[backup_id] = {
            'digest': digest,
            'size_bytes': len(content),
            'sha256': hashlib.sha256(content).hexdigest(),
        }
    return found


def make_repository(directory: pathlib.Path) -> None:
    """Make a repository with backups in both layouts.

    Of the images one was never read, and one only by its first verify.
    """
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        files = place / 'files'
        files.mkdir()
        coordinator = catalog.MemoryCoordinator()
        data = random.Random('repository').randbytes(1024) * (_SIZE // 1024)
        volume = filed.FiledVolume(data + bytes(1234), str(files), 'golden')
        volume.data[300_000:900_000] = bytes(600_000)
        states = {}
        for state, layout, offload in (
            ('chunks', 'chunks', 'none'),
            ('complete', 'image', 'none'),
            ('complete', 'image', 'none'),
            ('verified', 'image', 'copy'),
            ('unverified', 'image', 'copy'),
        ):
            target = sections.load_target(
                'posix',
                backup_posix_path=f'{place}/repository',
                layout=layout,
                offload=offload,
            )
            kept = cycle.Cycle(target, coordinator)
            summary = kept.backup(volume, full=offload == 'copy')
            states[summary.backup_id] = state
            if state == 'verified':
                kept.verify(summary.backup_id)
            volume.data[1_000_000:1_000_100] = bytes(range(100))
        with tarfile.open(directory / 'repository.tar.gz', 'w:gz') as archive:
            archive.add(place / 'repository', 'repository')
    expected = {
        backup_id: {
            'state': states[backup_id],
            'size_bytes': len(content),
            'sha256': hashlib.sha256(content).hexdigest(),
        }
        for backup_id, content in volume.history.items()
    }
    text = json.dumps(expected, indent=2, sort_keys=True)
    (directory / 'repository.json').write_text(f'{text}\n')


if __name__ == '__main__':
    made = {'volumes': make, 'repository': make_repository}[sys.argv[1]]
    made(pathlib.Path(sys.argv[2]))

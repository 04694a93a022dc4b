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

"""The round trips from all volume drivers through the local targets."""

from __future__ import annotations

from collections.abc import Mapping

from backupkit.testing.memory import store
from tests.functional import matrix


class PosixMatrixTest(matrix.MatrixCase):
    def target(self) -> Mapping[str, matrix.Options]:
        return {
            'target:repo': {
                'driver': 'posix',
                'backup_posix_path': str(self.directory('repo')),
                'chunk_size_bytes': '65536',
                'pack_size_bytes': '1048576',
            }
        }

    def test_round_when_kept_there_then_all_others_have_it(self) -> None:
        self.go_round()


class ImageMatrixTest(matrix.MatrixCase):
    """The layout ``image`` of the posix target."""

    def target(self) -> Mapping[str, matrix.Options]:
        return {
            'target:repo': {
                'driver': 'posix',
                'backup_posix_path': str(self.directory('repo')),
                'layout': 'image',
            }
        }

    def test_round_when_kept_there_then_all_others_have_it(self) -> None:
        self.go_round()


class VolumeMatrixTest(matrix.MatrixCase):
    def target(self) -> Mapping[str, matrix.Options]:
        return {
            'target:repo': {'driver': 'volume', 'backend': 'place'},
            'backend:place': {
                'driver': 'file',
                'volumes_dir': str(self.directory('place')),
                'storage_pool': 'place',
            },
        }

    def test_round_when_kept_there_then_all_others_have_it(self) -> None:
        self.go_round()


class NfsMatrixTest(matrix.MatrixCase):
    """The target ``nfs``, where a directory stands for its share."""

    def target(self) -> Mapping[str, matrix.Options]:
        return {
            'target:repo': {
                'driver': 'nfs',
                'backup_nfs_share': self.shares.add(self.directory('repo')),
                'chunk_size_bytes': '65536',
                'pack_size_bytes': '1048576',
            }
        }

    def test_round_when_kept_there_then_all_others_have_it(self) -> None:
        self.go_round()


class MemoryMatrixTest(matrix.MatrixCase):
    def target(self) -> Mapping[str, matrix.Options]:
        name = str(self.root)
        self.addCleanup(store.discard, name)
        return {
            'target:repo': {
                'driver': 'memory',
                'medium': name,
                'chunk_size_bytes': '65536',
                'pack_size_bytes': '1048576',
            }
        }

    def test_round_when_kept_there_then_all_others_have_it(self) -> None:
        self.go_round()

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


"""The round trip from each volume driver to each target."""

from typing import Any
import unittest

from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit.testing.memory import array
from backupkit.testing.memory import store
from backupkit.testing import roundtrip
from backupkit.testing import sections
from tests.conformance import places
from tests.conformance import test_volume_target


class _RoundTrip(roundtrip.RoundTripSuite):
    """Loads a pair of drivers by their names."""

    volume_driver = 'memory'
    target_driver = 'memory'

    def setUp(self) -> None:
        self.directory = places.directory(self)
        self.addCleanup(array.discard, self.directory)
        self.addCleanup(array.discard, f'{self.directory}/place')
        self.addCleanup(store.discard, self.directory)
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        places = {'memory': 'array', 'file': 'volumes_dir'}
        options = {places[self.volume_driver]: self.directory}
        return sections.load_volume_driver(self.volume_driver, **options)

    def make_target(self) -> target_.Target:
        if self.target_driver == 'volume':
            return test_volume_target.load(
                {'driver': 'memory', 'array': f'{self.directory}/place'}
            )
        places = {'memory': 'medium', 'posix': 'backup_posix_path'}
        place = places[self.target_driver]
        options: dict[str, Any] = {place: f'{self.directory}/repository'}
        return sections.load_target(
            self.target_driver,
            chunk_size_bytes=65536,
            pack_size_bytes=1048576,
            **options,
        )


class MemoryToMemoryTest(_RoundTrip, unittest.TestCase):
    pass


class MemoryToPosixTest(_RoundTrip, unittest.TestCase):
    target_driver = 'posix'


class FileToMemoryTest(_RoundTrip, unittest.TestCase):
    volume_driver = 'file'


class FileToPosixTest(_RoundTrip, unittest.TestCase):
    volume_driver = 'file'
    target_driver = 'posix'


class MemoryToVolumeTest(_RoundTrip, unittest.TestCase):
    target_driver = 'volume'


class FileToVolumeTest(_RoundTrip, unittest.TestCase):
    volume_driver = 'file'
    target_driver = 'volume'

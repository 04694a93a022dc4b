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


"""Distributions that a test installs for itself."""

import pathlib
import sys
import tempfile
import textwrap
import unittest
from unittest import mock
import uuid

from stevedore import extension

#: A volume driver that can be loaded, to be altered.
DRIVER = '''
from backupkit.drivers import volume

class Driver(volume.VolumeDriver):
    """Reaches nothing at all.

    More of it.
    """

    contract_version = '1.0'

    def storage_identity(self):
        raise NotImplementedError

    list = show = attach = attach_volume = detach = storage_identity
'''


class Distributions:
    """Installs each distribution into a directory of its own.

    The directories are on ``sys.path``. stevedore remembers what it has
    found for each ``sys.path``, and what it has told for each namespace.
    """

    def __init__(self, case: unittest.TestCase) -> None:
        self._case = case
        for patch in (
            mock.patch.object(sys, 'path', [*sys.path]),
            mock.patch.dict(
                extension.ExtensionManager.ENTRY_POINT_CACHE, clear=True
            ),
            mock.patch('stevedore._cache._c._disable_caching', new=True),
        ):
            patch.start()
            case.addCleanup(patch.stop)

    def install(
        self,
        driver: str,
        source: str = DRIVER,
        *,
        name: str = 'stranger',
        namespace: str = 'backupkit.volumes',
        attribute: str = 'Driver',
    ) -> str:
        """Install a driver; return the name of its module."""
        directory = tempfile.TemporaryDirectory()
        self._case.addCleanup(directory.cleanup)
        sys.path.insert(0, directory.name)
        extension.ExtensionManager.ENTRY_POINT_CACHE.clear()
        path = pathlib.Path(directory.name)
        module = f'm{uuid.uuid4().hex}'
        (path / f'{module}.py').write_text(textwrap.dedent(source))
        metadata = path / f'{name}-3.1.dist-info'
        metadata.mkdir()
        (metadata / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: 3.1\n'
        )
        (metadata / 'entry_points.txt').write_text(
            f'[{namespace}]\n{driver} = {module}:{attribute}\n'
        )
        return module

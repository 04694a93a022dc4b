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

"""What the tests of the driver stand on: targets in the real Swift."""

from __future__ import annotations

import functools
import os
from typing import Any
import unittest
import urllib.request
import uuid

from backupkit.drivers import store as store_
from backupkit.testing import sections
from backupkit_plugins.targets import swift
from tests.swift import cloud
from tests.swift import weather as weather_


@functools.cache
def _weather(process: int) -> weather_.Weather:
    return weather_.Weather(cloud.cloud().url)


def weather() -> weather_.Weather:
    """Return the proxy of this process, in front of its Swift."""
    return _weather(os.getpid())


def container() -> str:
    """Return a name that nobody has used."""
    return f'c-{uuid.uuid4().hex}'


class SwiftCase(unittest.TestCase):
    """A test with a container of its own, before which there is weather."""

    def setUp(self) -> None:
        super().setUp()
        self.cloud = cloud.cloud()
        self.weather = weather()
        self.container = container()

    def load(self, **options: Any) -> swift.SwiftTarget:
        """Return a target; what is not given is as is useful here."""
        return load(
            **{
                'container': self.container,
                'auth_url': self.weather.auth_url,
                **options,
            }
        )

    def open(self, **options: Any) -> store_.Store:
        """Return an opened store in its wrappers."""
        target = self.load(**options)
        opened = target.open()
        self.addCleanup(opened.close)
        return target.store_wrapper(opened, None)

    def post(self, headers: dict[str, str]) -> None:
        """Change what the cluster keeps of the container."""
        access = self.load()._identity.access()
        request = urllib.request.Request(
            f'{access.storage_url}/{self.container}',
            method='POST',
            headers={'X-Auth-Token': access.token, **headers},
        )
        with urllib.request.urlopen(request):
            pass


def load(**options: Any) -> swift.SwiftTarget:
    """Return a target of the real Swift."""
    given: dict[str, Any] = {
        'auth_type': 'v1password',
        'auth_url': cloud.cloud().auth_url,
        'username': cloud.USER,
        'password': cloud.KEY,
        'container': 'unused',
        'chunk_size_bytes': 16384,
        'pack_size_bytes': 131072,
        'retry_deadline_seconds': 20.0,
        'timeout_seconds': 20.0,
    }
    given.update(options)
    target = sections.load_target('swift', **given)
    assert isinstance(target, swift.SwiftTarget)
    return target

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


"""A process that dies while it attaches a volume.

``python -m tests.cloud.dying OPTIONS VOLUME WHEN``: the options of the
backend are a JSON object, and it dies ``before`` or ``after`` the last
request to Cinder.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn
from unittest import mock

from backupkit.testing import sections
from backupkit_plugins.volumes.cinder import api
from tests.cloud import stand

#: How such a process ends.
STATUS = 9


def main() -> NoReturn:
    """Attach, and die."""
    stand.set_helper()
    driver = sections.load_volume_driver('cinder', **json.loads(sys.argv[1]))
    if sys.argv[3] == 'after':
        driver.attach(sys.argv[2], None)
        os._exit(STATUS)
    with mock.patch.object(
        api.Api,
        'complete',
        autospec=True,
        side_effect=lambda *_: os._exit(STATUS),
    ):
        driver.attach(sys.argv[2], None)
    sys.exit('it did not die')


if __name__ == '__main__':
    main()

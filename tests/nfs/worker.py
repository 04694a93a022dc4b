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

"""One process of many that use one share: mounts, backs up, unmounts.

``python -m tests.nfs.worker CONFIGURATION VOLUME ROUNDS``; what it does
between two backups is drawn by chance, from the volume's name.
"""

from __future__ import annotations

import random
import sys

from backupkit import api
from backupkit import mounts


def main(configuration: str, volume: str, rounds: int) -> None:
    """Do it as often as was said."""
    chance = random.Random(volume)
    for _ in range(rounds):
        with api.connect([configuration]) as kit:
            kit.create_backup(volume, full=True)
        if chance.random() < 0.7:
            mounts.release()


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

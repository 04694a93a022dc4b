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

"""Cases that need a file server: they run in a guest, with the server up.

They are in modules of their own, and each is run there as a service user
who has what the administrator's guide grants.
"""

from __future__ import annotations

import pathlib
import re
import sys
import tempfile
import unittest

from tests.guest import init
from tests.guest import uml

_SECONDS = 1800
_MEMORY_MIB = 3072


def run(test: unittest.TestCase, server: str, cases: str, least: int) -> None:
    """Run all cases of a module, and fail as they do.

    :param server: the service that they need
    :param least: how many cases there are at least
    """
    with tempfile.TemporaryDirectory(prefix='sharing-') as made:
        job = pathlib.Path(made).resolve()
        output = job / 'output'
        output.touch()
        command = uml.Command(
            arguments=[
                *(sys.executable, '-m', 'tests.guest.inside', '--guest'),
                *('--service', server, '--service', 'tests.nfs.rights'),
                *('--output', str(init.JOB / 'output')),
                *('-m', 'tests.long.told', cases),
            ],
            environment=uml.environment(),
            directory=uml.lay_tests(job),
        )
        with uml.Guest(job, command, memory_mib=_MEMORY_MIB) as guest:
            code = guest.wait(_SECONDS)
            told = f'{guest.told()}\n{output.read_text()}'
    ran = re.search(r'^Ran ([0-9]+) tests', told, re.MULTILINE)
    test.assertIsNotNone(ran, told)
    assert ran is not None
    test.assertEqual(0, code, told)
    test.assertGreaterEqual(int(ran[1]), least, told)
    test.assertNotIn('skipped', told)

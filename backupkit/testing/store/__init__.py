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


"""The conformance suite of a store.

::

    class MyStoreTest(store.StoreSuite, unittest.TestCase):
        def make_store(self):
            return MyStore(self.directory)
"""

from __future__ import annotations

from backupkit.testing.store import filing
from backupkit.testing.store import filling
from backupkit.testing.store import getting
from backupkit.testing.store import listing
from backupkit.testing.store import opening
from backupkit.testing.store import putting
from backupkit.testing.store import racing


class StoreSuite(
    putting.PutTests,
    getting.GetTests,
    listing.ListTests,
    racing.RaceTests,
    opening.OpenTests,
    filing.FileTests,
):
    """All that the contract of a store promises but for a full one.

    The hook is :meth:`make_store`.
    """


class FullStoreSuite(filling.FullTests):
    """What the contract promises of a store that is full.

    For stores that a test can make so small that they fill up. The hooks
    are :meth:`make_store` and :meth:`make_small_store`.
    """

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

"""The round trips from all volume drivers through Swift."""

from __future__ import annotations

from collections.abc import Mapping

from tests.functional import matrix
from tests.swift import cloud
from tests.swift import stand


class SwiftMatrixTest(matrix.MatrixCase):
    def target(self) -> Mapping[str, matrix.Options]:
        return {
            'target:repo': {
                'driver': 'swift',
                'container': stand.container(),
                'auth_type': 'v1password',
                'auth_url': cloud.cloud().auth_url,
                'username': cloud.USER,
                'password': cloud.KEY,
                'chunk_size_bytes': '65536',
                'pack_size_bytes': '1048576',
            }
        }

    def test_round_when_kept_there_then_all_others_have_it(self) -> None:
        self.go_round()

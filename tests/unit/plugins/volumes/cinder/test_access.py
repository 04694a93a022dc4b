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

"""How the driver logs in before it asks Cinder."""

from __future__ import annotations

import json
import pathlib

from tests.unit.plugins import keystone
from tests.unit.plugins.volumes.cinder import base


class CloudsTest(base.ApiCase):
    def test_show_when_the_password_is_in_secure_yaml_then_it_is_used(
        self,
    ) -> None:
        answering = keystone.answer_for(self, 'block-storage')
        self.script(
            f'GET /volumes/{base.VOLUME_ID}', (200, {'volume': base.VOLUME})
        )
        clouds = pathlib.Path(self.directory, 'clouds.yaml')
        for name, auth in (
            (
                clouds.name,
                {
                    'auth_url': keystone.PASSWORD['auth_url'],
                    'username': 'someone',
                    'project_name': 'vault',
                    'user_domain_id': 'default',
                    'project_domain_id': 'default',
                },
            ),
            ('secure.yaml', {'password': 'seeded-secret'}),
        ):
            document = {'clouds': {'vault': {'auth': auth}}}
            # YAML contains JSON.
            clouds.with_name(name).write_text(json.dumps(document))
        driver = self.load(cloud='vault', clouds_file=str(clouds))
        self.assertEqual(2 << 30, driver.show(base.VOLUME_ID).size_bytes)
        told = answering.bodies[0]['auth']['identity']['password']['user']
        self.assertEqual('seeded-secret', told['password'])
        _, headers, _ = self.server.asked[-1]
        self.assertEqual('the-token', headers['X-Auth-Token'])

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


"""Clearing by the ledger: only what is ours and within reach."""

from __future__ import annotations

from unittest import mock

from backupkit import catalog
from backupkit import errors
from backupkit.flows import ledger
from backupkit.flows import recovery
from tests.unit.flows import base

RUN_ID = 'a0000000-0000-4000-8000-00000000000b'


class ClearTestCase(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()

    def clear(self) -> list[catalog.LedgerEntry]:
        return recovery.clear(self.environment(), RUN_ID)

    def enter_attachment(self, **details: object) -> None:
        self.catalog.ledger_add(
            RUN_ID,
            ledger.ATTACHMENT,
            'backupkit-a',
            {
                'backend': 'local',
                'volume_id': 'v',
                'snapshot': None,
                'writable': False,
                'attachment': None,
                **details,
            },
        )

    def test_when_attached_here_then_it_is_detached(self) -> None:
        attachment = self.driver.attach('v', None)
        self.enter_attachment(attachment=attachment.to_dict())
        self.assertEqual([], self.clear())
        self.assert_nothing_left()

    def test_when_only_meant_then_nothing_stays_attached(self) -> None:
        for volume_id in ('v', 'gone'):
            with self.subTest(volume_id=volume_id):
                self.enter_attachment(volume_id=volume_id)
                self.assertEqual([], self.clear())
                self.assert_nothing_left()

    def test_when_attached_elsewhere_then_it_is_left_to_that(self) -> None:
        with mock.patch(
            'socket.gethostname', autospec=True, return_value='other'
        ):
            self.enter_attachment()
        with self.assertLogs('backupkit.flows', 'WARNING') as logs:
            (left,) = self.clear()
        self.assertEqual('other', left.host)
        self.assertIn('clear it there', logs.output[0])
        self.assertEqual([left], self.catalog.ledger())

    def test_when_retained_on_purpose_then_it_stays(self) -> None:
        snapshot = self.driver.snapshot('v', 'backupkit-a')
        self.catalog.ledger_add(
            RUN_ID,
            ledger.SNAPSHOT,
            snapshot.name,
            {'backend': 'local', 'volume_id': 'v'},
            retained=True,
        )
        self.assertEqual([], self.clear())
        self.assertEqual([snapshot.name], list(self.array.snapshots))
        self.assertEqual(1, len(self.catalog.ledger()))
        self.assertEqual(
            [], [d for d in self.kit.doctor() if d.area == 'leftover']
        )

    def test_when_the_backend_is_gone_then_the_rest_is_cleared(self) -> None:
        attachment = self.driver.attach('v', None)
        self.enter_attachment(attachment=attachment.to_dict())
        self.catalog.ledger_add(
            RUN_ID,
            ledger.SNAPSHOT,
            'backupkit-a',
            {'backend': 'removed', 'volume_id': 'v'},
        )
        with self.assertLogs('backupkit.flows', 'WARNING'):
            (left,) = self.clear()
        self.assertEqual(ledger.SNAPSHOT, left.kind)
        self.assertEqual({}, self.array.opened)

    def test_when_it_is_not_ours_to_remove_then_it_is_left(self) -> None:
        self.catalog.ledger_add(
            RUN_ID, catalog.LedgerKind.MOUNT, '/mnt', {'backend': 'local'}
        )
        (entry,) = self.catalog.ledger(RUN_ID)
        with self.assertRaises(errors.Conflict):
            recovery.remove(self.environment(), entry)

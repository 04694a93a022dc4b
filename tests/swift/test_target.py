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

"""What the driver does with a real cluster: rights, quotas, lost servers."""

from __future__ import annotations

import io
import logging
import os

from backupkit import errors
from backupkit.testing import cycle
from backupkit.testing import plain
from tests.swift import cloud
from tests.swift import stand
from tests.swift import weather as weather_

DATA = os.urandom(300_000)


class LoginTest(stand.SwiftCase):
    def test_check_when_all_is_right_then_nothing_is_made(self) -> None:
        self.load().check()
        with self.assertRaises(errors.ObjectNotFound):
            self.open().get('config')

    def test_check_when_the_password_is_wrong_then_it_says_so(self) -> None:
        target = self.load(password='wrong')
        with self.assertRaisesRegex(errors.TargetError, 'credentials'):
            target.check()

    def test_check_when_an_option_is_missing_then_named(self) -> None:
        target = self.load(username='')
        with self.assertRaisesRegex(errors.ConfigurationError, 'username'):
            target.check()

    def test_check_when_nobody_answers_then_unavailable(self) -> None:
        target = self.load(auth_url='http://127.0.0.1:9/auth/v1.0')
        with self.assertRaises(errors.TargetUnavailable):
            target.check()

    def test_check_when_there_is_no_such_policy_then_refused(self) -> None:
        target = self.load(storage_policy='nonesuch')
        with self.assertRaisesRegex(errors.ConfigurationError, 'nonesuch'):
            target.check()

    def test_put_when_there_is_no_such_policy_then_refused(self) -> None:
        opened = self.open(storage_policy='nonesuch')
        with self.assertRaisesRegex(errors.ConfigurationError, 'nonesuch'):
            opened.put('name', [DATA])

    def test_check_when_packs_are_too_large_then_refused(self) -> None:
        target = self.load(max_object_size_bytes=131072)
        with self.assertRaisesRegex(errors.ConfigurationError, 'pack_size'):
            target.check()

    def test_call_when_the_user_has_no_rights_then_refused(self) -> None:
        self.open().put('name', [DATA])
        guest = {'username': cloud.GUEST, 'password': cloud.GUEST_KEY}
        with self.assertRaisesRegex(errors.TargetError, 'may not read'):
            self.load(**guest).check()
        with self.assertRaisesRegex(errors.TargetError, 'may not read'):
            self.open(**guest).get('name')

    def test_put_when_the_user_may_only_read_then_refused(self) -> None:
        self.open().put('name', [DATA])
        self.post({'X-Container-Read': cloud.GUEST + ',.rlistings'})
        opened = self.open(username=cloud.GUEST, password=cloud.GUEST_KEY)
        self.assertEqual(DATA, opened.get('name'))
        with self.assertRaises(errors.TargetReadOnly):
            opened.put('other', [b'small'])

    def test_call_when_the_token_ends_then_logs_in_again(self) -> None:
        opened = self.open()
        opened.put('name', [DATA])
        rule = self.weather.set(
            self.container, weather_.Verb.GET, weather_.Fault.TOKEN
        )
        logins = self.weather.count('', weather_.Verb.OTHER)
        self.assertEqual(DATA, opened.get('name'))
        self.assertEqual(1, rule.met)
        self.assertGreater(self.weather.count('', weather_.Verb.OTHER), logins)

    def test_log_when_all_is_told_then_no_secret_is(self) -> None:
        told = io.StringIO()
        handler = logging.StreamHandler(told)
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        self.addCleanup(root.setLevel, level)
        self.addCleanup(root.removeHandler, handler)
        for fault in (weather_.Fault.TOKEN, weather_.Fault.BROKEN):
            self.weather.set(self.container, weather_.Verb.PUT, fault)
            self.open().put(f'name-{fault}', [b'data'])
        with self.assertRaises(errors.TargetError) as raised:
            self.load(password='seeded-secret-1').check()
        target = self.load()
        opened = target.open()
        self.addCleanup(opened.close)
        opened.check()
        token = target._identity.access().token
        told.write(str(raised.exception) + repr(target._identity.access()))
        text = told.getvalue()
        self.assertIn('name-401', text)
        for secret in (cloud.KEY, 'seeded-secret-1', token, token[-16:]):
            self.assertNotIn(secret, text)

    def test_call_when_it_is_redirected_then_not_followed(self) -> None:
        rule = self.weather.set(
            self.container,
            weather_.Verb.HEAD,
            weather_.Fault.MOVED,
            None,
            {'Location': f'{self.weather.url}/v1/elsewhere'},
        )
        opened = self.open()
        with self.assertRaisesRegex(errors.TargetError, 'not followed'):
            opened.stat('name')
        self.assertEqual(1, rule.met)


class RetryAfterTest(stand.SwiftCase):
    def test_call_when_told_to_wait_longer_than_it_may_then_ends(
        self,
    ) -> None:
        opened = self.open()
        opened.put('name', [DATA])
        rule = self.weather.set(
            self.container,
            weather_.Verb.GET,
            weather_.Fault.RATE,
            None,
            {'Retry-After': '3600'},
        )
        with self.assertRaises(errors.TargetUnavailable) as raised:
            opened.get('name')
        self.assertEqual(3600, raised.exception.retry_after_seconds)
        self.assertEqual(1, rule.met)


class QuotaTest(stand.SwiftCase):
    def test_put_when_a_quota_is_reached_then_the_target_is_full(
        self,
    ) -> None:
        opened = self.open(auth_url=self.cloud.auth_url)
        opened.put('first', [DATA])
        self.post({'X-Container-Meta-Quota-Bytes': '1000000'})
        for size in (2_000_000, 20_000_000):
            with self.assertRaises(errors.TargetFull):
                opened.put(f'large-{size}', [bytes(size)])
        self.assertEqual(DATA, opened.get('first'))


class BulkTest(stand.SwiftCase):
    def test_delete_many_when_there_are_some_then_one_request(self) -> None:
        opened = self.open()
        names = [f'a/{number}' for number in range(20)]
        for name in names:
            opened.put(name, [b'x'])
        opened.put('kept', [b'x'])
        opened.delete_many([*names, 'a/missing'])
        self.assertEqual(['kept'], [stat.name for stat in opened.list()])
        self.assertEqual(
            0, self.weather.count(self.container, weather_.Verb.DELETE)
        )


class LagTest(stand.SwiftCase):
    def test_gc_when_listings_hide_all_that_is_new_then_nothing_is_lost(
        self,
    ) -> None:
        target = self.load()
        kept = cycle.Cycle(target)
        volume = plain.PlainVolume(DATA, 'v')
        first = kept.backup(volume)
        self.weather.lag(self.container, 3600)
        self.assertEqual([], list(target.list()))
        second = kept.backup(plain.PlainVolume(DATA[::-1], 'w'))
        kept.collect()
        kept.collect()
        for summary, data in ((first, DATA), (second, DATA[::-1])):
            writer = plain.PlainWriter(len(data), data)
            kept.restore(summary.backup_id, writer)
            self.assertEqual(data, bytes(writer.data))
        self.weather.lag(self.container, 0)
        self.assertEqual(
            {first.backup_id, second.backup_id},
            {one.backup_id for one in target.list()},  # type: ignore[union-attr] # no finding
        )


class LostServerTest(stand.SwiftCase):
    def test_put_when_the_object_server_dies_then_goes_on(self) -> None:
        opened = self.open(retry_deadline_seconds=60.0)
        opened.put('before', [DATA])
        self.cloud.kill('object')
        try:
            with self.assertRaises(errors.TargetUnavailable):
                self.open(retry_deadline_seconds=0.1).put('never', [DATA])
        finally:
            self.cloud.revive('object')
        opened.put('after', [DATA])
        self.assertEqual(DATA, opened.get('after'))
        self.assertEqual(DATA, opened.get('before'))

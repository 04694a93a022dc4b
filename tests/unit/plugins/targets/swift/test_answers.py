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

"""What is made of the answers of a cluster, right ones and wrong ones."""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import json
from typing import cast
import unittest

from backupkit import errors
from backupkit_plugins.targets.swift import body
from backupkit_plugins.targets.swift import bulk
from backupkit_plugins.targets.swift import connection
from backupkit_plugins.targets.swift import failures
from backupkit_plugins.targets.swift import info
from backupkit_plugins.targets.swift import parsing


class Answer:
    """An answer that is there already."""

    def __init__(self, data: bytes, **headers: str) -> None:
        self._data = data
        self.headers = {
            name.replace('_', '-'): value for name, value in headers.items()
        }

    def read(self, size: int | None = None) -> bytes:
        part = self._data[:size]
        self._data = self._data[len(part) :]
        return part


def answer(data: bytes, **headers: str) -> connection.Answer:
    return cast('connection.Answer', Answer(data, **headers))


class FailuresTest(unittest.TestCase):
    def answered(
        self, status: int, method: str = 'GET', **headers: str
    ) -> errors.BackupkitError:
        return failures.answered('get it', method, status, headers)

    def test_answered_when_it_may_pass_then_unavailable(self) -> None:
        for status in (202, 401, 408, 409, 422, 429, 498, 500, 503, 507, 599):
            error = self.answered(status)
            self.assertIs(errors.TargetUnavailable, type(error), status)
            self.assertTrue(error.retryable)

    def test_answered_when_it_will_not_pass_then_told_at_once(self) -> None:
        for status in (301, 307, 400, 403, 404, 413):
            error = self.answered(status)
            self.assertIs(errors.TargetError, type(error), status)
            self.assertFalse(error.retryable)

    def test_answered_when_writing_is_forbidden_then_read_only(self) -> None:
        for method in ('PUT', 'POST', 'DELETE'):
            error = self.answered(403, method)
            self.assertIsInstance(error, errors.TargetReadOnly)

    def test_answered_when_there_is_no_room_then_full(self) -> None:
        quota, devices = self.answered(413, 'PUT'), self.answered(507, 'PUT')
        self.assertIsInstance(quota, errors.TargetFull)
        self.assertFalse(quota.retryable)
        self.assertIsInstance(devices, errors.TargetFull)
        self.assertTrue(devices.retryable)
        self.assertFalse(errors.TargetFull.retryable)

    def test_passing_when_told_to_wait_then_it_says_for_how_long(self) -> None:
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(
            seconds=100
        )
        date = email.utils.format_datetime(later, usegmt=True)
        for text, least, most in (
            ('7', 7.0, 7.0),
            (date, 90.0, 100.0),
            ('', 0.0, 0.0),
            ('soon', 0.0, 0.0),
            ('Sat, 21 Nov 2015 09:00:00 GMT', 0.0, 0.0),
        ):
            error = failures.passing('so', {'Retry-After': text})
            self.assertLessEqual(least, error.retry_after_seconds, text)
            self.assertGreaterEqual(most, error.retry_after_seconds, text)


class ParsingTest(unittest.TestCase):
    def read_range(self, told: str, data: bytes = b'cdef') -> bytes:
        buffer = bytearray(4)
        parsing.read_range(
            'get it',
            'it',
            answer(data, Content_Range=told),
            2,
            [memoryview(buffer)[:1], memoryview(buffer)[1:]],
        )
        return bytes(buffer)

    def test_range_when_it_is_what_was_asked_for_then_filled(self) -> None:
        self.assertEqual(b'cdef', self.read_range('bytes 2-5/9'))

    def test_range_when_the_object_ends_before_then_damaged(self) -> None:
        with self.assertRaises(errors.Damaged):
            self.read_range('bytes 2-4/5', b'cde')

    def test_range_when_another_comes_then_unavailable(self) -> None:
        for told in ('', 'bytes 0-3/9', 'bytes 2-9/20', 'bytes */9', 'x'):
            with self.assertRaises(errors.TargetUnavailable):
                self.read_range(told)

    def test_range_when_it_breaks_off_then_unavailable(self) -> None:
        with self.assertRaises(errors.TargetUnavailable):
            self.read_range('bytes 2-5/9', b'cde')

    def test_whole_when_length_or_checksum_differ_then_unavailable(
        self,
    ) -> None:
        md5 = hashlib.md5(b'data', usedforsecurity=False).hexdigest()
        good = answer(b'data', Content_Length='4', ETag=f'"{md5}"')
        self.assertEqual(b'data', parsing.read_whole('get it', good))
        for length, etag in (('5', md5), ('4', '0' * 32), ('', md5)):
            bad = answer(b'data', Content_Length=length, ETag=etag)
            with self.assertRaises(errors.TargetUnavailable):
                parsing.read_whole('get it', bad)

    def test_entries_when_it_is_a_listing_then_names_and_sizes(self) -> None:
        text = b'[{"name": "a/b", "bytes": 3}]'
        self.assertEqual([('a/b', 3)], parsing.entries('list', text, ''))
        self.assertEqual([], parsing.entries('list', b'', ''))

    def test_entries_when_it_is_none_then_unavailable(self) -> None:
        for text in (b'<html>', b'[1]', b'{"a": 1}', b'[{"name": "a"}]'):
            with self.assertRaises(errors.TargetUnavailable):
                parsing.entries('list', text, '')

    def test_entries_when_a_page_comes_again_then_unavailable(self) -> None:
        text = b'[{"name": "a", "bytes": 3}]'
        with self.assertRaises(errors.TargetUnavailable):
            parsing.entries('list', text, 'a')

    def test_legal_when_a_name_is_not_ours_then_not(self) -> None:
        self.assertTrue(parsing.is_legal('backups/a'))
        self.assertFalse(parsing.is_legal('../a'))
        self.assertFalse(parsing.is_legal('A b'))


class InfoTest(unittest.TestCase):
    def test_parse_when_all_is_told_then_known(self) -> None:
        text = json.dumps(
            {
                'swift': {
                    'max_file_size': 1000,
                    'policies': [{'name': 'Gold', 'aliases': 'Gold, yellow'}],
                },
                'bulk_delete': {'max_deletes_per_request': 50},
            }
        )
        self.assertEqual(
            info.Info(1000, 50, frozenset({'gold', 'yellow'})),
            info.parse(text.encode()),
        )

    def test_parse_when_it_is_odd_then_as_if_nothing_was_told(self) -> None:
        for text in (
            b'',
            b'no',
            b'[]',
            b'{"swift": []}',
            b'{"swift": {"max_file_size": "9"}, "bulk_delete": 3}',
        ):
            self.assertEqual(info.Info(), info.parse(text))


class BulkTest(unittest.TestCase):
    def check(self, **changes: object) -> None:
        told = {
            'Response Status': '200 OK',
            'Number Deleted': 2,
            'Number Not Found': 0,
            'Errors': [],
        }
        bulk.check('delete 2 objects', json.dumps(told | changes).encode())

    def test_check_when_all_went_well_then_nothing_is_raised(self) -> None:
        self.check()
        self.check(**{'Number Deleted': 0, 'Response Status': '404 Not Found'})

    def test_check_when_one_failed_then_its_error(self) -> None:
        errors_ = [['/c/name', '503 Internal Server Error']]
        with self.assertRaisesRegex(errors.TargetUnavailable, '/c/name'):
            self.check(Errors=errors_, **{'Response Status': '400 Bad'})

    def test_check_when_it_is_cut_short_then_unavailable(self) -> None:
        with self.assertRaises(errors.TargetUnavailable):
            bulk.check('delete 2 objects', b'  \r\n {"Number Del')

    def test_check_when_the_whole_failed_then_its_error(self) -> None:
        with self.assertRaises(errors.TargetUnavailable):
            self.check(**{'Response Status': '502 Bad Gateway'})


class BodyTest(unittest.TestCase):
    def test_read_when_there_are_parts_then_all_of_them(self) -> None:
        large = bytes(range(256)) * 3000
        made = body.Body([b'one', b'', bytearray(large), memoryview(b'two')])
        expected = b'one' + large + b'two'
        self.assertEqual(len(expected), len(made))
        self.assertEqual(
            hashlib.md5(expected, usedforsecurity=False).hexdigest(), made.md5
        )
        self.assertEqual(expected, made.joined())
        blocks = []
        while block := made.read(10):
            self.assertLessEqual(len(block), body.BLOCK_BYTES)
            blocks.append(bytes(block))
        self.assertEqual(expected, b''.join(blocks))

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

"""Sizes as people write and read them."""

import argparse
import unittest

from backupkit.cli import sizes


class SizesTest(unittest.TestCase):
    def test_when_a_size_is_written_then_it_is_understood(self) -> None:
        for text, expected in (
            ('0', 0),
            ('512', 512),
            ('512b', 512),
            ('4k', 4096),
            ('4K', 4096),
            ('10G', 10 * 1024**3),
            ('10GiB', 10 * 1024**3),
            ('10 gib', 10 * 1024**3),
            ('10Gi', 10 * 1024**3),
            ('10GB', 10 * 1000**3),
            ('1.5T', 3 * 1024**4 // 2),
            ('64P', 64 * 1024**5),
            ('9007199254740993', 9007199254740993),
        ):
            self.assertEqual(expected, sizes.parse(text), text)

    def test_when_it_is_no_size_then_it_is_refused(self) -> None:
        for text in ('', 'G', '-1', '1.', '.5G', '10X', '1e9', '0x10', '1G2'):
            with self.assertRaises(argparse.ArgumentTypeError, msg=text):
                sizes.parse(text)

    def test_when_bytes_would_be_split_then_it_is_refused(self) -> None:
        with self.assertRaisesRegex(argparse.ArgumentTypeError, 'whole'):
            sizes.parse('0.3K')

    def test_when_a_size_is_shown_then_in_the_largest_unit(self) -> None:
        for size_bytes, expected in (
            (0, '0 bytes'),
            (1023, '1023 bytes'),
            (1024, '1.0 KiB'),
            (1536, '1.5 KiB'),
            (1024**2 - 1, '1.0 MiB'),
            (10 * 1024**3, '10.0 GiB'),
            (64 * 1024**4, '64.0 TiB'),
            (5000 * 1024**6, '5000.0 EiB'),
        ):
            self.assertEqual(expected, sizes.render(size_bytes))

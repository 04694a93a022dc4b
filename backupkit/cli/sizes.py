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

"""Sizes, shares and times as people write and read them."""

from __future__ import annotations

import argparse
import datetime
import decimal
import re

_SIZE = re.compile(r'([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(i?b?)', re.IGNORECASE)
_DURATION = re.compile(r'([0-9]{1,6})([hdw])')
_HOURS = {'h': 1, 'd': 24, 'w': 168}
_POWERS = ('', 'k', 'm', 'g', 't', 'p')
_UNITS = ('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')


def parse(text: str) -> int:
    """Return the bytes that ``10G``, ``10GiB``, ``10GB`` or ``512`` mean.

    K, M, G, T and P, alone or with ``iB``, are powers of 1,024; with ``B``
    they are powers of 1,000, as in the tools of GNU.

    :raises argparse.ArgumentTypeError: it is no size in whole bytes
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a size: write bytes, or 512M, 10G, 10GiB, 1.5T'
        )
    number, unit, suffix = match.groups()
    base = 1000 if suffix.lower() == 'b' else 1024
    size = decimal.Decimal(number) * base ** _POWERS.index(unit.lower())
    if size != int(size):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a whole number of bytes'
        )
    return int(size)


def share(text: str) -> float:
    """Return a percentage, with or without its sign, as a share.

    :raises argparse.ArgumentTypeError: it is none
    """
    try:
        percent = float(text.removesuffix('%'))
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f'{text!r} is not 0% to 100%')
    return percent / 100


def duration(text: str) -> datetime.timedelta:
    """Return the time that ``12h``, ``30d`` or ``8w`` mean.

    :raises argparse.ArgumentTypeError: it is none
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a time: write hours, days or weeks, for '
            'example 12h, 30d or 8w'
        )
    return datetime.timedelta(hours=int(match[1]) * _HOURS[match[2]])


def render(size_bytes: float) -> str:
    """Write a size in the largest unit that it fills."""
    size = float(size_bytes)
    power = 0
    # What would be rounded up to 1024.0 belongs to the next unit.
    while abs(size) >= 1023.95 and power < len(_UNITS) - 1:
        size /= 1024
        power += 1
    if not power:
        return f'{size_bytes:.0f} bytes'
    return f'{size:.1f} {_UNITS[power]}'

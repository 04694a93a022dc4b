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

"""Typed access to JSON documents that nobody vouches for."""

from __future__ import annotations

from collections.abc import Mapping
import re
from typing import Any

from backupkit import errors
from backupkit import model
from backupkit.repository import layout
from backupkit.repository import packset

_ID = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
# What no terminal, file or database takes: NUL and halves of pairs.
_UNFIT = re.compile('[\0\ud800-\udfff]')
_ATTEMPT = re.compile(r'[0-9a-f]{8}')

#: Greatest size of a volume: 2**60 bytes.
SIZE_LIMIT = 1 << 60

#: Packs that one manifest may name.
PACKS_LIMIT = 1 << 24

#: Index parts that one manifest may name.
PARTS_LIMIT = 1 << 20

#: Characters of any text in a document.
TEXT_LIMIT = model.TEXT_LIMIT


class Fields:
    """Reads the fields of a JSON object, each with its bounds.

    :param what: names the document in errors
    """

    def __init__(self, document: Mapping[str, Any], what: str) -> None:
        self._document = document
        self.what = what

    def _wrong(self, key: str) -> errors.FormatError:
        return errors.FormatError(f'{self.what} has a wrong field {key!r}')

    def integer(self, key: str, low: int = 0, high: int = SIZE_LIMIT) -> int:
        """Return a whole number between bounds."""
        value = self._document.get(key)
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(key)
        return value

    def text(self, key: str) -> str:
        """Return a text of bounded length."""
        value = self._document.get(key)
        if (
            not isinstance(value, str)
            or len(value) > TEXT_LIMIT
            or _UNFIT.search(value)
        ):
            raise self._wrong(key)
        return value

    def optional(self, key: str) -> str:
        """Return a text that may be missing: it is empty then."""
        return self.text(key) if key in self._document else ''

    def boolean(self, key: str) -> bool:
        """Return a truth value."""
        value = self._document.get(key)
        if not isinstance(value, bool):
            raise self._wrong(key)
        return value

    def identifier(self, key: str) -> str:
        """Return an id in canonical form."""
        value = self.text(key)
        if not _ID.fullmatch(value):
            raise self._wrong(key)
        return value

    def attempt(self, key: str) -> str:
        """Return the name of an attempt."""
        value = self.text(key)
        if not _ATTEMPT.fullmatch(value):
            raise self._wrong(key)
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """Return one of the choices."""
        value = self.text(key)
        if value not in choices:
            raise self._wrong(key)
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """Return a nested object."""
        value = self._document.get(key)
        if not isinstance(value, dict):
            raise self._wrong(key)
        return value

    def sequence(self, key: str) -> list[Any]:
        """Return a list."""
        value = self._document.get(key)
        if not isinstance(value, list):
            raise self._wrong(key)
        return value

    def digest(self, key: str) -> bytes:
        """Return a digest of 32 bytes from its hexadecimal form."""
        value = self.text(key)
        if not re.fullmatch('[0-9a-f]{64}', value):
            raise self._wrong(key)
        return bytes.fromhex(value)


def decode_packs(
    document: Mapping[str, Any], what: str, limit: int = PACKS_LIMIT
) -> packset.PackSet:
    """Return the packs that :meth:`.packset.PackSet.encode` wrote.

    :param limit: how many packs there may be at the most
    :raises errors.FormatError: the document is no such tree, or too large
    """
    packs = packset.PackSet()
    for owner, attempt, text in _leaves(document, what):
        if not isinstance(text, str):
            raise errors.FormatError(f'{what} has a wrong list of packs')
        ranges = layout.decode_numbers(text, limit)
        limit -= sum(high - low + 1 for low, high in ranges)
        packs.add_ranges(owner, attempt, ranges)
    return packs


def decode_parts(
    document: Mapping[str, Any], what: str
) -> dict[str, dict[str, int]]:
    """Return the index parts: owner, attempt, how many.

    :raises errors.FormatError: the document is no such tree
    """
    parts: dict[str, dict[str, int]] = {}
    left = PARTS_LIMIT
    for owner, attempt, count in _leaves(document, what):
        if type(count) is not int or not 0 < count <= left:
            raise errors.FormatError(f'{what} has a wrong list of indexes')
        left -= count
        parts.setdefault(owner, {})[attempt] = count
    return parts


def _leaves(
    document: Mapping[str, Any], what: str
) -> list[tuple[str, str, Any]]:
    leaves = []
    for owner, attempts in document.items():
        if not _ID.fullmatch(owner) or not isinstance(attempts, dict):
            raise errors.FormatError(f'{what} names a wrong owner')
        for attempt, value in attempts.items():
            if not _ATTEMPT.fullmatch(attempt):
                raise errors.FormatError(f'{what} names a wrong attempt')
            leaves.append((owner, attempt, value))
    return leaves

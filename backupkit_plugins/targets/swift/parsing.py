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

"""What is in the answers, looked at with suspicion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import hashlib
import json
import re

from backupkit.drivers import store
from backupkit import errors
from backupkit_plugins.targets.swift import connection
from backupkit_plugins.targets.swift import failures

#: So much of a body is taken from the connection at once.
_PIECE_BYTES = 1 << 20
_MD5 = re.compile(r'[0-9a-f]{32}')
_RANGE = re.compile(r'bytes (?:(\d+)-(\d+)|\*)/(\d+)')


def size(action: str, headers: Mapping[str, str]) -> int:
    """Return the length of what an answer tells of."""
    text = headers.get('Content-Length', '')
    if not text.isdecimal():
        raise failures.passing(f'cannot {action}: no length was told')
    return int(text)


def etag(headers: Mapping[str, str]) -> str:
    """Return the MD5 of an object, or '' where it is not told."""
    text = headers.get('ETag', '').strip('"').lower()
    return text if _MD5.fullmatch(text) else ''


def read_whole(action: str, answer: connection.Answer) -> bytes:
    """Return a whole object, as long as it is and with its MD5.

    :raises errors.TargetUnavailable: something else has arrived
    """
    data = answer.read()
    expected = size(action, answer.headers)
    if len(data) != expected:
        raise _short(action, len(data), expected)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if etag(answer.headers) not in (md5, ''):
        raise failures.passing(
            f'cannot {action}: what arrived does not match its checksum'
        )
    return data


def read_range(
    action: str,
    name: str,
    answer: connection.Answer,
    offset: int,
    views: Sequence[memoryview],
) -> None:
    """Fill the views with the range that was asked for.

    :raises errors.Damaged: the object ends before the range does
    :raises errors.TargetUnavailable: something else has arrived
    """
    wanted = sum(map(len, views))
    found = _RANGE.fullmatch(answer.headers.get('Content-Range', ''))
    if found is None or found[1] is None:
        raise failures.passing(f'cannot {action}: no range was told')
    first, last, total = map(int, found.groups())
    if total < offset + wanted:
        raise too_short(name, total, offset, wanted)
    if (first, last) != (offset, offset + wanted - 1):
        raise failures.passing(f'cannot {action}: another range has come')
    done = 0
    for view in views:
        at = 0
        while at < len(view):
            piece = answer.read(min(_PIECE_BYTES, len(view) - at))
            if not piece:
                raise _short(action, done + at, wanted)
            view[at : at + len(piece)] = piece
            at += len(piece)
        done += at


def object_size(
    action: str, headers: Mapping[str, str], start: int, end: int
) -> int:
    """Return the size of an object of which a range comes.

    :param end: where the range ends, unless the object ends before
    :raises errors.TargetUnavailable: another range comes
    """
    found = _RANGE.fullmatch(headers.get('Content-Range', ''))
    if found is None or found[1] is None:
        raise failures.passing(f'cannot {action}: no range was told')
    first, last, size_bytes = map(int, found.groups())
    if (first, last) != (start, min(end, size_bytes) - 1):
        raise failures.passing(f'cannot {action}: another range has come')
    return size_bytes


def total(headers: Mapping[str, str]) -> int:
    """Return the size of an object of which a range was not to be had."""
    found = _RANGE.fullmatch(headers.get('Content-Range', ''))
    return int(found[3]) if found else 0


def entries(action: str, text: bytes, marker: str) -> list[tuple[str, int]]:
    """Return the names and sizes in a page of a listing.

    :param marker: the last name of the page before
    :raises errors.TargetUnavailable: it is no such page
    """
    try:
        told = [
            (str(one['name']), int(one['bytes']))
            for one in json.loads(text or b'[]')
        ]
    except (ValueError, KeyError, TypeError) as exc:
        raise failures.passing(f'cannot {action}: that is no listing') from exc
    if told and told[-1][0] == marker:
        raise failures.passing(f'cannot {action}: the same page came again')
    return told


def is_legal(name: str) -> bool:
    """Tell whether an object can be ours."""
    try:
        store.check_name(name)
    except errors.FormatError:
        return False
    return True


def too_short(name: str, has: int, offset: int, wanted: int) -> errors.Damaged:
    """Return the error of an object that ends before a range does."""
    return errors.Damaged(
        f'{name} has {has} bytes, too few for {wanted} from {offset}'
    )


def _short(action: str, came: int, wanted: int) -> errors.TargetUnavailable:
    return failures.passing(
        f'cannot {action}: {came} bytes of {wanted} have come'
    )

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

"""What may go into a column, and what is believed of what comes out.

SQLite takes any value for any column, and a damaged file gives any value
back; PostgreSQL and MySQL refuse or shorten what is too long. So the bounds
are checked here, the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
import datetime
import enum
import functools
import json
from typing import Any, TypeVar

import sqlalchemy as sa

from backupkit.catalog import schema
from backupkit import errors

_Word = TypeVar('_Word', bound=enum.StrEnum)


class BadValueError(Exception):
    """The database holds something that was never written to it.

    It does not leave the catalog: the database turns it into a
    :class:`errors.CatalogError` that names itself.
    """


def now() -> str:
    """Return the time as the catalog keeps it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')


def checked(table: sa.Table, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a row where each fits into its column.

    :raises errors.UsageError: one does not
    """
    return {
        name: _fitting(table.c[name], value) for name, value in fields.items()
    }


def _fitting(column: sa.Column[Any], value: Any) -> Any:
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return bool(value)
    if value is None and column.nullable:
        return None
    if isinstance(kind, sa.Integer):
        bits = 63 if isinstance(kind, sa.BigInteger) else 31
        if type(value) is int and 0 <= value < 2**bits:
            return value
        raise errors.UsageError(f'{column.name} cannot be {value!r}')
    return _fitting_text(column, value)


def _fitting_text(column: sa.Column[Any], value: Any) -> str:
    if not isinstance(value, str):
        raise errors.UsageError(f'{column.name} cannot be {value!r}')
    text = str(value)
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        raise errors.UsageError(
            f'{column.name} is not proper Unicode: {text!r}'
        ) from error
    if '\0' in text:
        raise errors.UsageError(f'{column.name} holds a NUL: {text!r}')
    limit = getattr(column.type, 'length', None)
    if limit is None and length > schema.TEXT_LENGTH:
        raise errors.UsageError(
            f'{column.name} has {length} bytes; '
            f'at most {schema.TEXT_LENGTH} can be kept'
        )
    if limit is not None and len(text) > limit:
        raise errors.UsageError(
            f'{column.name} has {len(text)} characters; '
            f'at most {limit} can be kept: {text[:32]}...'
        )
    return text


def prose(text: str) -> str:
    """Return a text for people so that it can be kept in any case.

    A reason is worth keeping even where it quotes strange names.
    """
    clean = text.encode(errors='backslashreplace').replace(b'\0', b'\\0')
    return clean[:4000].decode(errors='ignore')


def packed(fields: Mapping[str, Any]) -> str:
    """Return plain data as the text that a column keeps.

    :raises errors.UsageError: it is not plain JSON data
    """
    try:
        return json.dumps(dict(fields), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise errors.UsageError(
            f'this is not plain data: {fields!r}'
        ) from error


def unpacked(text: str) -> dict[str, Any]:
    """Return the plain data that a column keeps."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadValueError(f'no JSON: {text[:80]!r}') from error
    if not isinstance(fields, dict):
        raise BadValueError(f'no JSON object: {text[:80]!r}')
    return fields


def word(kind: type[_Word], text: str) -> _Word:
    """Return a state or kind that was read."""
    try:
        return kind(text)
    except ValueError as error:
        raise BadValueError(f'no {kind.__name__}: {text!r}') from error


def given_word(kind: type[_Word], text: str) -> _Word:
    """Return a state or kind that a caller gave.

    :raises errors.UsageError: there is none of that name
    """
    try:
        return kind(text)
    except ValueError as error:
        raise errors.UsageError(
            f'{text!r} is none of: {", ".join(kind)}'
        ) from error


@functools.cache
def _columns(table: sa.Table) -> tuple[tuple[str, type, bool], ...]:
    return tuple(
        (column.name, column.type.python_type, bool(column.nullable))
        for column in table.c
    )


def read(table: sa.Table, row: sa.Row[Any]) -> dict[str, Any]:
    """Return a whole row as fields whose types are what they must be."""
    fields = {}
    for (name, kind, nullable), value in zip(
        _columns(table), row, strict=True
    ):
        if type(value) is not kind and not (value is None and nullable):
            raise BadValueError(f'{value!r} as {name} of {table.name}')
        fields[name] = value
    return fields

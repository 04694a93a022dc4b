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

"""Columns that read well on a screen and stay plain for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import enum
import re
from typing import Any

from cliff import columns

from backupkit.cli import sizes


_BYTES = re.compile(r'\w+_bytes|bytes_\w+')


class Size(columns.FormattableColumn[int]):
    """Bytes: ``1.5 GiB`` in a table, the integer elsewhere."""

    def human_readable(self) -> str:
        return sizes.render(self._value)


class Text(columns.FormattableColumn[str]):
    """What somebody else named: a table must not obey what is in it."""

    def human_readable(self) -> str:
        return printable(self._value)


class Items(columns.FormattableColumn[Any]):
    """Several values: one a line in a table, a structure elsewhere."""

    def human_readable(self) -> str:
        if isinstance(self._value, Mapping):
            lines = [f'{k}: {v}' for k, v in self._value.items()]
        else:
            lines = [_line(item) for item in self._value]
        return '\n'.join(map(printable, lines))


class Drawn(columns.FormattableColumn[Any]):
    """A structure that has a form of its own for people."""

    def __init__(self, value: Any, text: str) -> None:
        super().__init__(value)
        self._text = text

    def human_readable(self) -> str:
        return self._text


def show(
    values: Mapping[str, Any],
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the names and columns of one object."""
    names = tuple(values)
    return names, tuple(_column(name, values[name]) for name in names)


def rows(
    names: Sequence[str], objects: Iterable[Mapping[str, Any]]
) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Return the names and the rows of many objects."""
    table = [
        tuple(_column(name, values[name]) for name in names)
        for values in objects
    ]
    return names, table


def printable(text: str) -> str:
    """Return a text in which what is not to be seen is spelt out."""
    return ''.join(
        char if char.isprintable() else ascii(char)[1:-1] for char in text
    )


def plain(value: Any) -> Any:
    """Return a value as what JSON knows."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def _column(name: str, value: Any) -> Any:
    if isinstance(value, Drawn):
        return value
    value = plain(value)
    if isinstance(value, list | dict):
        return Items(value)
    if _BYTES.fullmatch(name) and isinstance(value, int):
        return Size(value)
    if isinstance(value, str) and not value.isprintable():
        return Text(value)
    return value


def _line(item: Any) -> str:
    if isinstance(item, Mapping):
        return ', '.join(f'{k}={v}' for k, v in item.items() if v)
    return str(item)

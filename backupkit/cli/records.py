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
"""``backupkit backup export`` and ``import``: records as a document."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import os
import pathlib
import secrets
import sys
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit import errors

#: Greatest document that is read.
_LIMIT = 64 << 20


class Export(command.Command):
    """Write the records of backups as one JSON document.

    It tells which backups there are and where, for the catalog of another
    host or of another day; the backups themselves stay on their targets.
    """

    examples = (
        'backupkit backup export 3f2a9c41 > record.json',
        'backupkit backup export 3f2a9c41 77ab01ce --file records.json',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'backup_ids',
            metavar='ID',
            nargs='+',
            help='Of a backup, or at least its first eight characters.',
        )
        parser.add_argument(
            '--file',
            type=pathlib.Path,
            metavar='FILE',
            help='Write it here, in the place of what is there; by default '
            'it is written to the standard output.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        document = self.shell.kit.export_backups(parsed_args.backup_ids)
        if parsed_args.file is None:
            sys.stdout.write(document)
            return
        try:
            _replace(parsed_args.file, document)
        except OSError as exc:
            raise errors.UsageError(
                f'cannot write {parsed_args.file}: {exc.strerror}'
            ) from exc


class Import(command.ShowOne):
    """Record the backups of which a document of records tells.

    Nothing in the document is believed but that a backup is protected: each
    is looked up at its target first, and none is recorded where one of them
    is not there or is another one than the document says.
    """

    examples = (
        'backupkit backup import records.json',
        'backupkit backup import records.json --target vault',
        'backupkit backup import - < records.json',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'file',
            metavar='FILE',
            help='The document; - is the standard input.',
        )
        parser.add_argument(
            '--target',
            help='Where the backups are; by default each is where its '
            'record says.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        result = self.shell.kit.import_backups(
            _read(parsed_args.file), target=parsed_args.target
        )
        return columns.show(columns.plain(result))


def _read(name: str) -> bytes:
    """Return a document, and no more of it than one may have."""
    try:
        if name == '-':
            return sys.stdin.buffer.read(_LIMIT + 1)
        with pathlib.Path(name).open('rb') as file:
            return file.read(_LIMIT + 1)
    except OSError as exc:
        raise errors.UsageError(f'cannot read {name}: {exc.strerror}') from exc


def _replace(path: pathlib.Path, text: str) -> None:
    """Put a file in place whole, readable for its owner and group."""
    temporary = path.with_name(f'.{path.name}.{secrets.token_hex(4)}')
    try:
        with temporary.open('x') as file:
            os.fchmod(file.fileno(), 0o660)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

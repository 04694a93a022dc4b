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

"""What cliff lacks: one object as CSV."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import csv
from typing import Any, TextIO

from cliff import columns
from cliff.formatters import base
from cliff.formatters import commaseparated


class CsvShow(commaseparated.CSVLister, base.SingleFormatter):
    """One object as a line of names and a line of values."""

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write the object as a list of one."""
        writer = csv.writer(
            stdout,
            quoting=self.QUOTE_MODES[parsed_args.quote_mode],
            lineterminator='\n',
            escapechar='\\',
        )
        writer.writerow(column_names)
        writer.writerow(
            value.machine_readable()
            if isinstance(value, columns.FormattableColumn)
            else value
            for value in data
        )

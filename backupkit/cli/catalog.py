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

"""``backupkit catalog``: the database of backups."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import repository
from backupkit import errors


class Rebuild(command.ShowOne):
    """Find the backups that a repository holds, and record them.

    For a catalog that was lost, or a repository that was brought here.
    Exits with 4 where a backup's own record is damaged.
    """

    examples = ('backupkit catalog rebuild', 'backupkit catalog rebuild vault')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return repository.with_target(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        result = self.shell.kit.rebuild_catalog(parsed_args.target)
        if result.damaged:
            self.exit_code = errors.Damaged.exit_code
        return columns.show(columns.plain(result))

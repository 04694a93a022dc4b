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

"""``backupkit config``: what the configuration files hold."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command

_LISTED = ('severity', 'section', 'option', 'message', 'cure')


class Validate(command.Lister):
    """Compare the configuration with the options that exist.

    Every section and option is compared with those of the drivers that it
    names. Exits with 1 where there are errors; warnings alone are well.
    """

    examples = ('backupkit --config-file new.conf config validate',)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        problems = self.shell.unchecked_kit.validate_config()
        if any(problem.severity == 'error' for problem in problems):
            self.exit_code = 1
        return columns.rows(_LISTED, map(columns.plain, problems))

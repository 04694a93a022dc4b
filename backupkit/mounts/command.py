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

"""The command line that starts the privileged daemon."""

from __future__ import annotations

import os
import shlex
import sys

from oslo_config import cfg

from backupkit.conf import loading
from backupkit.conf import mounts as options

_DEFAULT_FILE = '/etc/backupkit/backupkit.conf'

_configuration: cfg.ConfigOpts | None = None


def configure(conf: cfg.ConfigOpts) -> None:
    """Name the configuration that the helper is to read."""
    global _configuration  # noqa: PLW0603 - of the process, as the daemon is
    _configuration = conf


def helper() -> tuple[str, ...]:
    """Return what starts the helper, as far as privsep does not add to it.

    It is what ``helper_command`` says. By default it is our own helper, in
    this Python, with the files of our own configuration: directly for root,
    through sudo for everybody else.
    """
    files = [_DEFAULT_FILE]
    if _configuration is not None:
        written = loading.sections(_configuration)
        given = written.get(options.PRIVSEP_SECTION, {}).get('helper_command')
        if given:
            return tuple(shlex.split(given[-1]))
        files = loading.files(_configuration)
    line = [] if os.geteuid() == 0 else ['sudo', '-n']
    # Isolated: nothing of the user's is on its path.
    line += [sys.executable, '-I', '-m', 'backupkit.privileged.serve']
    for name in files:
        line += ['--config-file', os.path.abspath(name)]
    return tuple(line)

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

"""The service ``tests.nfs.rights``: what root grants the service user.

It is what the administrator's guide says: the example of a rule for sudo,
which pins the command line of the privileged helper, and one configuration
file that root alone writes.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import pathlib
import sys

from tests.guest import inside
from tests.guest import machine
from tests.guest import root

#: The one file that the helper reads.
CONFIGURATION = '/etc/backupkit/backupkit.conf'

_EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / 'etc/backupkit'
#: Where the examples have the Python environment, and the user.
_ENVIRONMENT = '/opt/backupkit/bin'
_USER = 'backupkit'


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Have the rule and an empty configuration."""
    # Beside us there is nobody in this /etc, so what else it says is nil.
    file = pathlib.Path('/etc/sudoers')
    file.unlink(missing_ok=True)
    file.touch(0o440)
    rule = example('sudoers').replace(f'{_USER} ALL', f'{inside.USER} ALL')
    file.write_text(f'root ALL=(ALL:ALL) ALL\n{rule}')
    machine.run('visudo', '-c', '-q', '-f', str(file))
    pathlib.Path(CONFIGURATION).parent.mkdir()
    _write('')
    yield


def example(name: str) -> str:
    """Return one of the examples, for the environment that runs this."""
    text = (_EXAMPLES / f'{name}.example').read_text()
    python = pathlib.Path(sys.executable)
    return text.replace(f'{_ENVIRONMENT}/python3', str(python)).replace(
        _ENVIRONMENT, str(python.parent)
    )


def configure(text: str) -> None:
    """Have root write the configuration, whoever asks."""
    root.do(_write, text)


def _write(text: str) -> None:
    file = pathlib.Path(CONFIGURATION)
    file.write_text(text)
    file.chmod(0o644)

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

"""The service ``tests.long.smb_server``: Samba on another machine."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib
import subprocess

from tests.guest import inside
from tests.guest import machine
from tests.guest import root
from tests.long import far

SHARE = 'backup'
#: As awkward as a password may be.
PASSWORD = 'a,b=c;"d\' e\\%s$HOME,,\u00e9'
#: What the privileged daemon reads it from.
CREDENTIALS = '/etc/backupkit/smb.credentials'

_PLACE = pathlib.Path('/srv/samba')
_PORT = 445
_CONFIGURATION = """\
[global]
server role = standalone server
disable netbios = yes
disable spoolss = yes
load printers = no
smb ports = {port}
server min protocol = SMB2_10
map to guest = never
passdb backend = tdbsam:{place}/passdb.tdb
private dir = {place}
lock directory = {place}
state directory = {place}
cache directory = {place}
pid directory = {place}
ncalrpc dir = {place}/ncalrpc
log file = {place}/log
unix charset = UTF-8
[{share}]
path = {place}/{share}
read only = no
store dos attributes = no
map archive = no
force create mode = 0660
create mask = 0660
force directory mode = 0770
directory mask = 0770
"""


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Have the share, which is the service user's."""
    modules = ('cifs', 'cmac', 'ccm', 'gcm', 'aes_generic', 'nls_utf8')
    with far.running(*modules):
        far._servers[0].do(start)
        yield


def start() -> None:
    """Serve; to be called there."""
    share = _PLACE / SHARE
    if not share.exists():
        share.mkdir(parents=True)
        os.chown(share, inside.UID, inside.UID)
        share.chmod(0o770)
        (_PLACE / 'smb.conf').write_text(
            _CONFIGURATION.format(place=_PLACE, share=SHARE, port=_PORT)
        )
        subprocess.run(
            ['smbpasswd', '-c', _PLACE / 'smb.conf', '-a', '-s', inside.USER],
            input=f'{PASSWORD}\n{PASSWORD}\n',
            text=True,
            check=True,
            capture_output=True,
            env={**os.environ, 'LC_ALL': 'C.UTF-8'},
        )
    machine.run('smbd', '-D', '-s', str(_PLACE / 'smb.conf'))
    far.await_port(_PORT)


def stop() -> None:
    """End all that serves; to be called there."""
    machine.run('pkill', '-KILL', '-x', 'smbd')


def empty() -> None:
    """Remove all that is on the share; to be called there."""
    machine.run('find', str(_PLACE / SHARE), '-mindepth', '1', '-delete')


def entries() -> list[far.Entry]:
    """Return all that is on the share; to be called there."""
    return far.entries(str(_PLACE / SHARE))


def give_credentials(password: str = PASSWORD) -> None:
    """Have root write the file with the password."""
    root.do(_give, f'username={inside.USER}\npassword={password}\n')


def _give(text: str) -> None:
    file = pathlib.Path(CREDENTIALS)
    file.touch(0o600)
    file.write_text(text)

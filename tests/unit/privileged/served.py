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

"""Daemons in processes of their own, without root and capabilities.

Run as ``python -m tests.unit.privileged.served SOCKET``. For each socket
that comes with the path of a stage over that one, a process is forked that
serves the real context on it. So the imports are paid for once.
"""

from __future__ import annotations

import os
import sys

# First, for it keeps eventlet out of oslo.privsep.
from backupkit import privileged

import socket

from oslo_config import cfg
from oslo_privsep import comm
from oslo_privsep import daemon

from backupkit.conf import mounts as options
from backupkit.privileged import custody
from backupkit.privileged import mountinfo
from backupkit.privileged import mounts  # noqa: F401 - as serve does
from backupkit.privileged import programs


def main(number: int) -> None:
    """Fork daemons until the other end closes the socket."""
    control = socket.socket(fileno=number)
    while True:
        path, sockets, _flags, _address = socket.recv_fds(control, 4096, 1)
        if not path:
            return
        if os.fork() == 0:
            code = 1
            try:
                control.close()
                _serve(socket.socket(fileno=sockets[0]), path.decode())
                code = 0
            finally:
                # Whatever was raised: this is not the parent.
                os._exit(code)
        os.close(sockets[0])


def _serve(theirs: socket.socket, top: str) -> None:
    custody.TOP = top
    custody.OWNER = os.geteuid()
    mountinfo.MOUNTINFO = f'{top}/mountinfo'
    programs.MOUNT = f'{top}/program-MOUNT'
    programs.UMOUNT = f'{top}/program-UMOUNT'
    cfg.CONF(
        [], default_config_files=[f'{top}/etc/backupkit.conf'], project='x'
    )
    # What custody is to walk begins at the stage.
    cfg.CONF.set_default('config_file', ['/etc/backupkit.conf'])
    cfg.CONF.set_override('capabilities', [], options.PRIVSEP_SECTION)
    channel = comm.ServerChannel(theirs)
    daemon.replace_logging(daemon.PrivsepLogHandler(channel))
    daemon.Daemon(channel, privileged.context).run()


if __name__ == '__main__':
    main(int(sys.argv[1]))

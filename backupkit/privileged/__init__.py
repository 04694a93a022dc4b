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

"""All that backupkit does with privilege: mounting configured shares.

The daemon knows two calls, :func:`backupkit.privileged.mounts.mount` and
:func:`backupkit.privileged.mounts.unmount`, which take the name of a
section. What is mounted, and how, stands in the daemon's configuration
file, which only root can write.
"""

from __future__ import annotations

import copy
import ctypes
import os
import sys

from backupkit.privileged import eventless  # noqa: F401 - before oslo.privsep

from oslo_config import cfg
from oslo_privsep import capabilities
from oslo_privsep import comm
from oslo_privsep import daemon
from oslo_privsep import priv_context

from backupkit.conf import mounts as options

#: What a call may raise besides our own errors: the helper did not start,
#: died, does not answer, or is of another release.
FAILURES = (
    OSError,
    ImportError,
    NameError,
    comm.PrivsepTimeout,
    daemon.FailedToDropPrivileges,
    daemon.ProtocolError,
)

_PR_SET_NO_NEW_PRIVS = 38  # from linux/prctl.h


class Context(priv_context.PrivContext):
    """A context whose daemon is closed before it serves its first call."""

    #: What starts the helper; the arguments that privsep adds come after.
    command: tuple[str, ...] = ()

    def helper_command(self, sockpath: str) -> list[str]:
        """Return the helper's whole command line, as sudoers pins it."""
        given = ['--privsep_context', str(self.pypath)]
        return [*self.command, *given, '--privsep_sock_path', sockpath]

    def set_client_mode(self, enabled: bool) -> None:  # noqa: FBT001 - as oslo.privsep has it
        """Close the daemon: it calls this before it reads a request."""
        if not enabled:
            # privsep imports the module that a request names before it
            # looks whether the name is an entry point.
            sys.meta_path.clear()
            _renounce()
        super().set_client_mode(enabled)


def _renounce() -> None:
    """Keep root's programs from getting more capabilities than we have."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


context = Context(
    'backupkit.privileged',
    cfg_section=options.PRIVSEP_SECTION,
    pypath='backupkit.privileged.context',
    capabilities=[
        # mount(2) and umount(2) ask for it, and for nothing else.
        capabilities.CAP_SYS_ADMIN,
    ],
    # The last resort, should the daemon itself hang.
    timeout=options.MAX_TIMEOUT_SECONDS + 30,
)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """List the daemon's options for oslo.config's generator."""
    return [(options.PRIVSEP_SECTION, copy.deepcopy(priv_context.OPTS))]

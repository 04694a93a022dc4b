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

"""The program that sudo starts: ``python -I -m backupkit.privileged.serve``.

It is oslo.privsep's own helper behind a narrow door. A rule for sudo that
lets more arguments pass than was meant does no harm here, and a
configuration that others than root can write is refused before oslo.config
and oslo.log, which may run what it names, have read it.
"""

from __future__ import annotations

from collections.abc import Sequence
import logging
import os
import re
import sys

from oslo_privsep import daemon

from backupkit import errors
from backupkit import privileged
from backupkit.privileged import custody
from backupkit.privileged import mounts  # noqa: F401 - nothing is imported later

_LINE = re.compile(
    r'(--config-file\0[^\0]+\0)+'
    r'--privsep_context\0backupkit\.privileged\.context\0'
    r'--privsep_sock_path\0/[^\0]+\0'
)


def main(arguments: Sequence[str]) -> None:
    """Serve the privileged calls over the socket that is named."""
    if not _LINE.fullmatch(''.join(f'{word}\0' for word in arguments)):
        sys.exit(
            'usage: --config-file PATH [...] --privsep_context '
            f'{privileged.context.pypath} --privsep_sock_path PATH'
        )
    for option, path in zip(arguments[::2], arguments[1::2]):
        if option == '--config-file':
            try:
                with custody.file(path):
                    pass
            except errors.PrivilegeError as error:
                sys.exit(f'{error}')
    # The client tells of the old names of options; here they are read anew
    # with each call.
    logging.getLogger('oslo_config').setLevel(logging.ERROR)
    # oslo.config reads options from it too.
    os.environ.clear()
    sys.argv[1:] = arguments
    daemon.helper_main()


if __name__ == '__main__':
    main(sys.argv[1:])

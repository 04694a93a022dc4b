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

"""What attachments hold in this process: the mount, and QEMU's locks.

An attachment is plain data that any process may take back; what holds the
share mounted belongs to the process that attached, and ends with it.
"""

from __future__ import annotations

import contextlib
import threading
import uuid

from backupkit import model

_lock = threading.Lock()
_held: dict[str, contextlib.ExitStack] = {}

_KEY = 'attachment'


def keep(stack: contextlib.ExitStack) -> dict[str, str]:
    """Keep open what a new attachment needs; return its handle."""
    token = uuid.uuid4().hex
    with _lock:
        _held[token] = stack.pop_all()
    return {_KEY: token}


def let_go(attachment: model.Attachment) -> None:
    """Close what an attachment needed; twice, or elsewhere, is fine."""
    with _lock:
        stack = _held.pop(str(attachment.handle.get(_KEY)), None)
    if stack is not None:
        stack.close()

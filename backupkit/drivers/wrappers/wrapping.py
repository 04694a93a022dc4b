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


"""Which wrappers a target's store gets, by the options of its section."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import logging

from oslo_config import cfg

from backupkit.drivers import contract
from backupkit.drivers import patience as patience_
from backupkit.drivers import store
from backupkit.drivers.wrappers import deadline
from backupkit.drivers.wrappers import log
from backupkit.drivers.wrappers import names
from backupkit.drivers.wrappers import read_only
from backupkit.drivers.wrappers import throttle
from backupkit.drivers.wrappers import waiting

LOG = logging.getLogger(__name__)

_OPTIONS = (
    cfg.BoolOpt(
        'read_only',
        default=False,
        help='Refuse everything that would change what this target keeps. '
        'Backups can be listed, verified and restored. By default the '
        'target is written to.',
    ),
    cfg.IntOpt(
        'max_bytes_per_second',
        min=1024,
        help='Most bytes per second that one process reads from and writes '
        'to this target, on average, over all its threads. By default '
        'there is no limit.',
    ),
    cfg.FloatOpt(
        'retry_deadline_seconds',
        default=60.0,
        min=0.0,
        max=86400.0,
        help='How long a call that failed in a way that may pass is tried '
        'again, with growing pauses, before the failure is reported. 0 '
        'never tries again. The default is one minute.',
    ),
)


def get_options() -> Sequence[cfg.Opt]:
    """Return the options that the section of every wrapped target has."""
    return _OPTIONS


class Wrapping:
    """Wraps every store that one configured target opens.

    All of them draw on one throttle.

    :param target: name of the target, for messages
    :param section: the options of its section
    :param patience: how long each call into the target may take
    """

    def __init__(
        self,
        target: str,
        section: contract.Section,
        patience: patience_.Patience = patience_.ENDLESS,
    ) -> None:
        self._target = target
        self._patience = patience
        self._read_only: bool = section.read_only
        self._deadline_seconds: float = section.retry_deadline_seconds
        limit: int | None = section.max_bytes_per_second
        self._bucket = throttle.TokenBucket(limit) if limit else None

    def __call__(
        self,
        opened: store.Store,
        check: Callable[[], None] | None = None,
    ) -> store.Store:
        """Return the store in its wrappers, the innermost first.

        A deadline counts the driver's own time alone, and a throttle counts
        each try, so it lies within the retries.

        :param check: raises where a wait is to end, because the run stops
        """
        # Imported here: most commands open no store, and tenacity takes a
        # tenth of what they may take to start.
        from backupkit.drivers.wrappers import retry

        waiter = waiting.Waiter(check) if check else waiting.Waiter()
        if self._patience is not patience_.ENDLESS:
            opened = deadline.Deadline(opened, self._patience, check)
        opened = names.CheckedNames(opened)
        if self._bucket:
            opened = throttle.Throttle(opened, self._bucket, waiter)
        if self._deadline_seconds:
            opened = retry.Retry(opened, self._deadline_seconds, waiter)
        if self._read_only:
            opened = read_only.ReadOnly(opened, self._target)
        if LOG.isEnabledFor(logging.DEBUG):
            opened = log.Logging(opened, self._target)
        return opened

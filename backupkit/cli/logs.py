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

"""Where log lines go.

By default warnings go to stderr, through the standard library alone.
oslo.log, which takes longer to import than all the rest of a short command,
does it where it was asked for: on the command line, or by an option of its
own in the configuration.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import logging
from typing import TextIO

from oslo_config import cfg

from backupkit import conf as conf_
from backupkit.conf import loading

#: The level of -v, above which lines come to the screen.
_VERBOSE = 2


def configure_plainly(options: argparse.Namespace, stream: TextIO) -> None:
    """Send warnings to ``stream``, or with -q only errors."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        logging.Formatter('backupkit: %(levelname)s: %(message)s')
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if options.verbose_level else logging.ERROR)


def configure(
    options: argparse.Namespace,
    conf: cfg.ConfigOpts,
    reload: Callable[[], object],
) -> None:
    """Hand logging over to oslo.log, where that was asked for.

    :param reload: reads the configuration into ``conf`` once more, for the
        options of oslo.log must be there before it is read
    """
    verbose = options.verbose_level >= _VERBOSE
    asked = verbose or options.debug or options.log_file
    if not asked and not _has_options(conf):
        return
    from oslo_log import log

    conf.clear()
    log.register_options(conf)
    reload()
    if options.log_file:
        conf.set_override('log_file', options.log_file)
    if options.debug:
        conf.set_override('debug', override=True)
    elsewhere = conf.log_file or conf.log_dir or conf.use_journal
    if verbose or options.debug or not elsewhere:
        # oslo.log's own last resort is stdout, which belongs to results.
        conf.set_override('use_stderr', override=True)
    log.setup(conf, 'backupkit')
    _quieten(options)


def _quieten(options: argparse.Namespace) -> None:
    """Keep TaskFlow from telling again, at length, what an error says."""
    if not options.debug:
        logging.getLogger('taskflow').setLevel(logging.CRITICAL)


def _has_options(conf: cfg.ConfigOpts) -> bool:
    """Tell whether the files hold an option of oslo.log."""
    written = set(loading.sections(conf).get('DEFAULT', ()))
    ours = {opt.dest for opt in conf_.default.OPTS}
    if not written - ours:
        return False
    from oslo_log import _options

    return any(
        opt.dest in written
        for _, group_opts in _options.list_opts()
        for opt in group_opts
    )

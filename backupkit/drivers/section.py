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


"""The options of one driver's section, read and checked as one."""

from __future__ import annotations

from collections.abc import Sequence
import difflib
from typing import Any

from oslo_config import cfg

from backupkit import errors

DRIVER_OPT = cfg.StrOpt(
    'driver',
    help='Name of the driver that this section configures; "backupkit driver '
    'list" shows the names. There is no default.',
)


def driver_name(
    conf: cfg.ConfigOpts, section: str, known: Sequence[str]
) -> str:
    """Return the name of the driver that a section asks for.

    :param known: names of the installed drivers, for the message
    :raises errors.ConfigurationError: there is no section, or no name in it
    """
    conf.register_opt(DRIVER_OPT, group=section)
    name = value(conf, section, DRIVER_OPT)
    if name:
        return str(name)
    sections = conf.list_all_sections()
    names = ', '.join(known)
    if section in sections:
        raise errors.ConfigurationError(
            f'section [{section}] has no option driver: add "driver = NAME" '
            f'with one of {names}'
        )
    near = difflib.get_close_matches(section, sections, 1)
    meant = f', is [{near[0]}] meant?' if near else ':'
    raise errors.ConfigurationError(
        f'there is no section [{section}]{meant} add one with '
        f'"driver = NAME" and one of {names}'
    )


def value(conf: cfg.ConfigOpts, section: str, option: cfg.Opt) -> Any:
    """Return the value of an option, of its type and within its bounds.

    A value that is not is never shown where the option is secret.

    :raises errors.ConfigurationError: it is wrong, or needed and missing
    """
    try:
        found = conf[section][option.dest]
    except (cfg.Error, ValueError) as error:
        # oslo.config's own text holds the form of a Python object; what it
        # was made from has the reason alone.
        reason = error.__context__ or error
        shown = 'its value is not valid' if option.secret else reason
        raise errors.ConfigurationError(
            f'option {option.name} in section [{section}] is wrong: {shown}'
        ) from (None if option.secret else error)
    if option.required and (found is None or found == ''):
        raise errors.ConfigurationError(
            f'section [{section}] has no option {option.name}, which its '
            f'driver needs: {option.help or "it has no default"}'
        )
    return found

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

"""The version of the driver contract, and what both kinds share.

A driver class states the contract version that it was written for in
``contract_version``. A different major number is refused by the loader; a
greater minor number too, because the driver may call what is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any

from oslo_config import cfg

#: ``major.minor``. A new method with a default raises the minor number.
CONTRACT_VERSION = '1.0'

#: The options of one ``[backend:NAME]`` or ``[target:NAME]`` section, read
#: as attributes: ``section.volumes_dir``.
Section = Any


@dataclasses.dataclass(frozen=True, slots=True)
class Remark:
    """What ``doctor`` tells of a driver's section: a warning with a cure.

    Without a cure it is a fact that the operator should know.
    """

    text: str
    cure: str = ''


class Driver:
    """What a volume driver and a target driver have in common.

    The constructor stores its arguments and nothing more: no I/O, no
    mount, no import of an optional library.

    :param name: of the section, without its ``backend:`` or ``target:``
    """

    #: Set this in the driver's class to the version it was written for.
    contract_version: str = ''

    def __init__(self, name: str, section: Section) -> None:
        self.name = name
        self.section = section

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        """Return the options of this driver's own section.

        Names carry no driver prefix; bounds, choices and ``secret`` belong
        into the option, and each help text says what the default does.
        """
        return ()

    def remarks(self) -> Sequence[Remark]:
        """Return what an operator should know of this configuration.

        Only what the options say counts: nothing is looked at, and nobody
        is asked. The default is to say nothing.
        """
        return ()

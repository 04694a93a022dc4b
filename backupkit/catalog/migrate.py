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

"""Running the migrations: the only module that loads alembic."""

from __future__ import annotations

import os

from alembic import command
from alembic import config
from alembic import util
import sqlalchemy as sa

from backupkit.catalog import values

SCRIPTS = os.path.join(os.path.dirname(__file__), 'migrations')


def upgrade(connection: sa.Connection) -> None:
    """Bring older tables up to date, in the caller's transaction."""
    settings = config.Config()
    # The settings are those of an INI file, where % begins a variable.
    settings.set_main_option('script_location', SCRIPTS.replace('%', '%%'))
    settings.attributes['connection'] = connection
    try:
        command.upgrade(settings, 'head')
    except util.CommandError as error:
        raise values.BadValueError(error) from error

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

"""The options of the section ``[catalog]``."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'catalog', title='Catalog', help='The database of backups and runs.'
)

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'connection',
        default='sqlite:///$state_path/catalog.sqlite',
        secret=True,
        help='The database, as an SQLAlchemy URL: sqlite, postgresql or '
        'mysql. All hosts that write to one repository must share one '
        'database. By default an SQLite file below state_path.',
    ),
]

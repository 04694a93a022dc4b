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

"""The tables of the catalog.

``REVISION`` names the schema that this module describes. Whoever changes a
table adds a migration and raises it: :doc:`/contributor/catalog` says how.

Texts that are not known are empty and times are texts in ISO 8601, so that
a row reads alike on every database. Other programs' tables may stand in the
same database (TaskFlow's do): nothing here looks at them.
"""

from __future__ import annotations

import sqlalchemy as sa

REVISION = '0001'

#: Backend, target, host: names that the operator gives.
NAME_LENGTH = 64
#: UUIDs, and ids of other systems that are no longer than that by much.
UUID_LENGTH = 64
#: States and kinds.
WORD_LENGTH = 16
TIME_LENGTH = 40
HOST_LENGTH = 255
#: Long enough for paths of files, short enough for every index of MySQL.
VOLUME_LENGTH = 512
OBJECT_LENGTH = 255
#: What MySQL's TEXT holds at least, in bytes.
TEXT_LENGTH = 65535

METADATA = sa.MetaData()


def _uuid(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(
        name, sa.String(UUID_LENGTH), nullable=False, primary_key=key
    )


def _name(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(
        name, sa.String(NAME_LENGTH), nullable=False, primary_key=key
    )


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(WORD_LENGTH), nullable=False)


def _volume(*, key: bool = False) -> sa.Column[str]:
    return sa.Column(
        'volume_id',
        sa.String(VOLUME_LENGTH),
        nullable=False,
        primary_key=key,
    )


def _host(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(HOST_LENGTH), nullable=False)


def _time(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(TIME_LENGTH), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _bytes(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


#: Which revision of this schema the database has. Not alembic's usual name:
#: TaskFlow keeps its own revision under that in the same database.
VERSION = sa.Table(
    'catalog_version',
    METADATA,
    sa.Column('version_num', sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint('version_num', name='catalog_version_pkc'),
)

#: One row. Who writes anything locks it first.
META = sa.Table(
    'meta',
    METADATA,
    sa.Column('meta_id', sa.Integer, primary_key=True, autoincrement=False),
    _uuid('catalog_id'),
    _time('created_at'),
)

#: Work that somebody does or did. Numbers grow and are never used again.
RUNS = sa.Table(
    'runs',
    METADATA,
    sa.Column('number', sa.Integer, primary_key=True),
    _uuid('run_id'),
    _word('kind'),
    _word('state'),
    sa.Column('backup_id', sa.String(UUID_LENGTH)),
    _name('backend'),
    _volume(),
    _name('target'),
    _uuid('repository_id'),
    _host('host'),
    _uuid('boot_id'),
    sa.Column('pid', sa.Integer, nullable=False),
    _time('started_at'),
    _time('finished_at'),
    _text('reason'),
    _text('params'),
    _time('committing_at'),
    # Who works on it: drawn anew whenever a process takes it over.
    _word('attempt'),
    # When one was taken over whose commit may still arrive.
    _time('overtaken_at'),
    # The backup that it reads beside what it writes, and where that is.
    sa.Column('source_id', sa.String(UUID_LENGTH)),
    _uuid('source_repository_id'),
    sa.Index('ix_runs_run_id', 'run_id', unique=True),
    # Unfinished runs are few among very many finished ones.
    sa.Index('ix_runs_finished_at', 'finished_at'),
    sqlite_autoincrement=True,
)

BACKUPS = sa.Table(
    'backups',
    METADATA,
    _uuid('backup_id', key=True),
    sa.Column('name', sa.String(OBJECT_LENGTH), nullable=False),
    _name('backend'),
    _volume(),
    _name('target'),
    _uuid('repository_id'),
    _word('status'),
    _word('kind'),
    sa.Column('parent_id', sa.String(UUID_LENGTH)),
    _bytes('size_bytes'),
    _bytes('data_bytes'),
    _bytes('read_bytes'),
    _bytes('changed_bytes'),
    _bytes('stored_bytes'),
    _flag('consistent'),
    _word('content'),
    _bytes('sequence'),
    sa.Column('volume_generation', sa.String(OBJECT_LENGTH), nullable=False),
    _time('created_at'),
    _time('finished_at'),
    _time('verified_at'),
    _text('fail_reason'),
    _text('service_metadata'),
    sa.Column('run_number', sa.Integer, nullable=False),
    _uuid('copy_of'),
    _flag('protected'),
    sa.Index('ix_backups_line', 'repository_id', 'backend', 'volume_id'),
)

#: Temporary things outside, each named here before it is made.
LEDGER = sa.Table(
    'ledger',
    METADATA,
    sa.Column('entry_id', sa.Integer, primary_key=True),
    _uuid('run_id'),
    _word('kind'),
    sa.Column('name', sa.String(VOLUME_LENGTH), nullable=False),
    _host('host'),
    _uuid('boot_id'),
    _flag('retained'),
    _text('details'),
    _time('made_at'),
    sa.Index('ix_ledger_thing', 'run_id', 'kind', 'name', unique=True),
    sqlite_autoincrement=True,
)

#: Packs that no run may reuse any more.
CONDEMNED = sa.Table(
    'condemned',
    METADATA,
    _uuid('repository_id', key=True),
    sa.Column('pack', sa.String(OBJECT_LENGTH), primary_key=True),
    sa.Column('barrier', sa.Integer),
    _time('condemned_at'),
)

#: Which repository was last seen at a target.
REPOSITORIES = sa.Table(
    'repositories',
    METADATA,
    _name('target', key=True),
    _uuid('repository_id'),
    _time('seen_at'),
)

#: How far the copies of unfinished runs have come.
JOURNALS = sa.Table(
    'journals',
    METADATA,
    _uuid('run_id', key=True),
    _text('body'),
    _time('kept_at'),
)

#: Volumes that a restore has begun to overwrite and not finished.
DESTINATIONS = sa.Table(
    'destinations',
    METADATA,
    _name('backend', key=True),
    _volume(key=True),
    _uuid('run_id'),
    _uuid('backup_id'),
    _time('begun_at'),
)

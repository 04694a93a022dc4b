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

"""Make the first tables."""

from typing import Any

from alembic import op
import sqlalchemy as sa

revision = '0001'
down_revision = None


def upgrade() -> None:
    """Make every table but that of the revision."""
    _make_meta()
    _make_runs()
    _make_backups()
    _make_ledger()
    _make_condemned()
    _make_repositories()
    _make_destinations()
    _make_journals()


def _options() -> dict[str, Any]:
    """Keep MySQL from taking ids for equal that differ by case."""
    dialect = op.get_bind().dialect.name
    if dialect not in ('mysql', 'mariadb'):
        return {}
    return {
        f'{dialect}_charset': 'utf8mb4',
        f'{dialect}_collate': 'utf8mb4_bin',
    }


def _make_meta() -> None:
    op.create_table(
        'meta',
        sa.Column(
            'meta_id', sa.Integer, primary_key=True, autoincrement=False
        ),
        sa.Column('catalog_id', sa.String(64), nullable=False),
        sa.Column('created_at', sa.String(40), nullable=False),
        **_options(),
    )


def _make_runs() -> None:
    op.create_table(
        'runs',
        sa.Column('number', sa.Integer, primary_key=True),
        sa.Column('run_id', sa.String(64), nullable=False),
        sa.Column('kind', sa.String(16), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('backup_id', sa.String(64)),
        sa.Column('backend', sa.String(64), nullable=False),
        sa.Column('volume_id', sa.String(512), nullable=False),
        sa.Column('target', sa.String(64), nullable=False),
        sa.Column('repository_id', sa.String(64), nullable=False),
        sa.Column('host', sa.String(255), nullable=False),
        sa.Column('boot_id', sa.String(64), nullable=False),
        sa.Column('pid', sa.Integer, nullable=False),
        sa.Column('started_at', sa.String(40), nullable=False),
        sa.Column('finished_at', sa.String(40), nullable=False),
        sa.Column('reason', sa.Text, nullable=False),
        sa.Column('params', sa.Text, nullable=False),
        sa.Column('committing_at', sa.String(40), nullable=False),
        sa.Column('attempt', sa.String(16), nullable=False),
        sa.Column('overtaken_at', sa.String(40), nullable=False),
        sa.Column('source_id', sa.String(64)),
        sa.Column('source_repository_id', sa.String(64), nullable=False),
        sqlite_autoincrement=True,
        **_options(),
    )
    op.create_index('ix_runs_run_id', 'runs', ['run_id'], unique=True)
    op.create_index('ix_runs_finished_at', 'runs', ['finished_at'])


def _make_backups() -> None:
    op.create_table(
        'backups',
        sa.Column('backup_id', sa.String(64), primary_key=True),
        sa.Column('name', sa.String(255), nullable=False),
        sa.Column('backend', sa.String(64), nullable=False),
        sa.Column('volume_id', sa.String(512), nullable=False),
        sa.Column('target', sa.String(64), nullable=False),
        sa.Column('repository_id', sa.String(64), nullable=False),
        sa.Column('status', sa.String(16), nullable=False),
        sa.Column('kind', sa.String(16), nullable=False),
        sa.Column('parent_id', sa.String(64)),
        sa.Column('size_bytes', sa.BigInteger, nullable=False),
        sa.Column('data_bytes', sa.BigInteger, nullable=False),
        sa.Column('read_bytes', sa.BigInteger, nullable=False),
        sa.Column('changed_bytes', sa.BigInteger, nullable=False),
        sa.Column('stored_bytes', sa.BigInteger, nullable=False),
        sa.Column('consistent', sa.Boolean, nullable=False),
        sa.Column('content', sa.String(16), nullable=False),
        sa.Column('sequence', sa.BigInteger, nullable=False),
        sa.Column('volume_generation', sa.String(255), nullable=False),
        sa.Column('created_at', sa.String(40), nullable=False),
        sa.Column('finished_at', sa.String(40), nullable=False),
        sa.Column('verified_at', sa.String(40), nullable=False),
        sa.Column('fail_reason', sa.Text, nullable=False),
        sa.Column('service_metadata', sa.Text, nullable=False),
        sa.Column('run_number', sa.Integer, nullable=False),
        sa.Column('copy_of', sa.String(64), nullable=False),
        sa.Column('protected', sa.Boolean, nullable=False),
        **_options(),
    )
    op.create_index(
        'ix_backups_line',
        'backups',
        ['repository_id', 'backend', 'volume_id'],
    )


def _make_ledger() -> None:
    op.create_table(
        'ledger',
        sa.Column('entry_id', sa.Integer, primary_key=True),
        sa.Column('run_id', sa.String(64), nullable=False),
        sa.Column('kind', sa.String(16), nullable=False),
        sa.Column('name', sa.String(512), nullable=False),
        sa.Column('host', sa.String(255), nullable=False),
        sa.Column('boot_id', sa.String(64), nullable=False),
        sa.Column('retained', sa.Boolean, nullable=False),
        sa.Column('details', sa.Text, nullable=False),
        sa.Column('made_at', sa.String(40), nullable=False),
        sqlite_autoincrement=True,
        **_options(),
    )
    op.create_index(
        'ix_ledger_thing', 'ledger', ['run_id', 'kind', 'name'], unique=True
    )


def _make_condemned() -> None:
    op.create_table(
        'condemned',
        sa.Column('repository_id', sa.String(64), primary_key=True),
        sa.Column('pack', sa.String(255), primary_key=True),
        sa.Column('barrier', sa.Integer),
        sa.Column('condemned_at', sa.String(40), nullable=False),
        **_options(),
    )


def _make_repositories() -> None:
    op.create_table(
        'repositories',
        sa.Column('target', sa.String(64), primary_key=True),
        sa.Column('repository_id', sa.String(64), nullable=False),
        sa.Column('seen_at', sa.String(40), nullable=False),
        **_options(),
    )


def _make_destinations() -> None:
    op.create_table(
        'destinations',
        sa.Column('backend', sa.String(64), primary_key=True),
        sa.Column('volume_id', sa.String(512), primary_key=True),
        sa.Column('run_id', sa.String(64), nullable=False),
        sa.Column('backup_id', sa.String(64), nullable=False),
        sa.Column('begun_at', sa.String(40), nullable=False),
        **_options(),
    )


def _make_journals() -> None:
    op.create_table(
        'journals',
        sa.Column('run_id', sa.String(64), primary_key=True),
        sa.Column('body', sa.Text, nullable=False),
        sa.Column('kept_at', sa.String(40), nullable=False),
        **_options(),
    )

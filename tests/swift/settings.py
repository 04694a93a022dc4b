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

"""How the servers of Swift are configured."""

from __future__ import annotations

from collections.abc import Mapping
import os
import pathlib

USER = 'test:tester'
KEY = 'testing-key-0f1e2d3c'
GUEST = 'test:guest'
GUEST_KEY = 'guest-key-4b5a6978'

STORAGE = ('account', 'container', 'object')

TEMPAUTH = {
    'tempauth': {
        'use': 'egg:swift#tempauth',
        f'user_{USER.replace(":", "_")}': f'{KEY} .admin',
        f'user_{GUEST.replace(":", "_")}': GUEST_KEY,
        'storage_url_scheme': 'default',
    }
}


def common(root: pathlib.Path) -> dict[str, str]:
    """Return what all servers are told."""
    return {
        'bind_ip': '127.0.0.1',
        'swift_dir': str(root),
        'devices': str(root / 'devices'),
        'mount_check': 'false',
        'disable_fallocate': 'true',
        'workers': '0',
        'user': 'root' if os.geteuid() == 0 else str(os.geteuid()),
        'log_level': 'WARNING',
        'log_address': str(root / 'no-log'),
    }


def all_files(
    root: pathlib.Path, ports: Mapping[str, int]
) -> dict[str, dict[str, dict[str, str]]]:
    """Return the sections of every configuration file."""
    shared = common(root)
    files = {
        'swift.conf': {
            'swift-hash': {
                'swift_hash_path_suffix': 'tests',
                'swift_hash_path_prefix': 'tests',
            },
        },
        'proxy-server.conf': proxy(shared, ports['proxy'], TEMPAUTH),
    }
    for name in STORAGE:
        files[f'{name}-server.conf'] = {
            'DEFAULT': {**shared, 'bind_port': str(ports[name])},
            'pipeline:main': {'pipeline': f'healthcheck {name}-server'},
            f'app:{name}-server': {'use': f'egg:swift#{name}'},
            'filter:healthcheck': {'use': 'egg:swift#healthcheck'},
        }
    return files


def proxy(
    shared: Mapping[str, str],
    port: int,
    login: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, str]]:
    filters = (
        'catch_errors',
        'gatekeeper',
        'healthcheck',
        'cache',
        'listing_formats',
        'bulk',
        *login,
        'copy',
        'container-quotas',
        'account-quotas',
        'slo',
        'dlo',
    )
    sections = {
        f'filter:{name}': {'use': f'egg:swift#{name.replace("-", "_")}'}
        for name in filters
    }
    # One process needs no memcached.
    sections['filter:cache'] = {
        'paste.filter_factory': 'memory_cache:filter_factory'
    }
    for name, options in login.items():
        sections[f'filter:{name}'] = dict(options)
    return {
        'DEFAULT': {**shared, 'bind_port': str(port)},
        'pipeline:main': {'pipeline': ' '.join([*filters, 'proxy-server'])},
        'app:proxy-server': {
            'use': 'egg:swift#proxy',
            'account_autocreate': 'true',
            'allow_account_management': 'true',
            # What a killed server was asked for is asked elsewhere soon.
            'conn_timeout': '0.5',
            'error_suppression_interval': '1',
        },
        **sections,
    }

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

"""A RabbitMQ on loopback, through which the services of Cinder talk."""

from __future__ import annotations

import functools
import os
import pathlib

from tests.servers import ports
from tests.servers import process

_SCRIPT = '/usr/lib/rabbitmq/bin/rabbitmq-server'


class Rabbit:
    """A broker below one directory.

    :ivar url: as oslo.messaging takes it
    """

    def __init__(self, root: pathlib.Path) -> None:
        root = root / 'rabbit'
        (root / 'log').mkdir(parents=True)
        self._port, distribution, self._mapper_port = ports.free(3)
        self.url = f'rabbit://guest:guest@127.0.0.1:{self._port}/'
        (root / 'rabbitmq.conf').write_text(
            f'listeners.tcp.1 = 127.0.0.1:{self._port}\n'
        )
        (root / 'advanced.config').write_text('[{rabbit,[]}].\n')
        (root / 'enabled_plugins').write_text('[].\n')
        mapping = {
            'ERL_EPMD_ADDRESS': '127.0.0.1',
            'ERL_EPMD_PORT': str(self._mapper_port),
        }
        # Else the broker starts one, which would outlive it.
        self._mapper = process.Server('epmd', ['epmd'], root, mapping)
        self.server = process.Server(
            'rabbit',
            [_SCRIPT],
            root,
            {
                **mapping,
                'HOME': str(root),
                # The script becomes the broker then, instead of its parent.
                'NOTIFY_SOCKET': str(root / 'nobody-listens'),
                'RABBITMQ_NODENAME': f'test{os.getpid()}@localhost',
                'RABBITMQ_DIST_PORT': str(distribution),
                'RABBITMQ_MNESIA_BASE': str(root / 'mnesia'),
                'RABBITMQ_LOG_BASE': str(root / 'log'),
                'RABBITMQ_CONFIG_FILE': str(root / 'rabbitmq'),
                'RABBITMQ_ADVANCED_CONFIG_FILE': str(root / 'advanced'),
                'RABBITMQ_ENABLED_PLUGINS_FILE': str(root / 'enabled_plugins'),
                'RABBITMQ_PID_FILE': str(root / 'pid'),
                'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': (
                    '-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 '
                    '-start_epmd false'
                ),
            },
        )

    def start(self) -> None:
        """Start it; :meth:`wait` waits for it."""
        self._mapper.start()
        self._mapper.wait(functools.partial(ports.listens, self._mapper_port))
        self.server.start()

    def wait(self) -> None:
        """Return once it takes connections."""
        self.server.wait(functools.partial(ports.listens, self._port))

    def stop(self) -> None:
        """Kill it."""
        self.server.kill()
        self._mapper.kill()

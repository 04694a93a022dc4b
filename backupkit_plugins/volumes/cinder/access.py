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

"""Who asks Cinder: the login, and the adapter that speaks for it.

keystoneauth is imported with the first request.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any

from backupkit.drivers import contract
from backupkit import errors
from backupkit_plugins.keystone import login
from backupkit_plugins.volumes.cinder import failures
from backupkit_plugins.volumes.cinder import options


def adapter(backend: str, section: contract.Section) -> Any:
    """Return a keystoneauth adapter for Cinder, as a section says.

    Nothing is asked yet. It follows no redirection: a password or token
    must not go where somebody else sends us.

    :param backend: name of the backend, for messages
    :raises errors.ConfigurationError: an option is missing or wrong
    """
    from keystoneauth1 import adapter as adapter_

    found = login.log_in(f'backend:{backend}', section, options.SERVICE)
    return adapter_.Adapter(
        found.session,
        service_type=options.SERVICE.kind,
        interface=found.interface,
        region_name=found.region_name,
        endpoint_override=found.endpoint,
        min_version='3',
        max_version='3.latest',
    )


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what keystoneauth raises into errors of ours.

    Its texts name URLs, but no password or token.
    """
    from keystoneauth1 import exceptions

    try:
        yield
    except exceptions.Unauthorized as exc:
        raise errors.SourceError(
            f'{what}: the credentials are refused; mend them in the section'
        ) from exc
    except (exceptions.EndpointNotFound, exceptions.EmptyCatalog) as exc:
        raise errors.ConfigurationError(
            f'{what}: the catalog of Keystone has no such endpoint of block '
            'storage; see region_name and interface'
        ) from exc
    except exceptions.SSLError as exc:
        raise errors.ConfigurationError(
            f'{what}: the certificate of the server is not trusted; ca_file '
            'may name who signed it'
        ) from exc
    except exceptions.ConnectionError as exc:
        raise failures.Unreachable(f'{what}: {exc}') from exc
    except exceptions.HttpError as exc:
        raise failures.explain(what, int(exc.http_status or 0), None) from exc
    except exceptions.ClientException as exc:
        raise errors.ConfigurationError(f'{what}: {exc}') from exc

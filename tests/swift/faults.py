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

"""What can go wrong with a request to Swift."""

from __future__ import annotations

from collections.abc import Mapping
import enum
import urllib.parse


class Verb(enum.StrEnum):
    """What a request is for."""

    PUT = 'put'
    GET = 'get'
    HEAD = 'head'
    LIST = 'list'
    DELETE = 'delete'
    BULK = 'bulk'
    #: Anything else: containers, logins, what the cluster tells of itself.
    OTHER = 'other'


class Fault(enum.StrEnum):
    """How a request fails; those that are numbers are answers."""

    MOVED = '307'
    TOKEN = '401'
    MISSING = '404'
    TIMEOUT = '408'
    CROSSED = '409'
    TOO_LARGE = '413'
    RATE = '429'
    RATE_498 = '498'
    BROKEN = '500'
    BUSY = '503'
    NO_SPACE = '507'
    #: The connection is reset before the request has an effect.
    RESET = 'reset'
    #: There is no answer at all.
    HANG = 'hang'
    #: The request has its effect, and the answer breaks off.
    SHORT = 'short'
    #: A checksum is changed on the way.
    ETAG = 'etag'


class Rule:
    """What fails, and how often it still does; None for always."""

    def __init__(
        self,
        fault: Fault,
        times: int | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.fault = fault
        self.times = times
        self.headers = dict(headers or {})
        self.met = 0


def is_bulk(target: str) -> bool:
    """Tell whether a request deletes many objects."""
    return 'bulk-delete' in urllib.parse.urlsplit(target).query


def bulk_container(body: bytes) -> str:
    """Return the container of the first object that is to go."""
    return urllib.parse.unquote(body.decode().partition('/')[0])


def classify(method: str, target: str) -> tuple[str, str, Verb]:
    """Return the container and object of a request, and what it is for.

    The container of a bulk delete is in its body.
    """
    parts = urllib.parse.urlsplit(target)
    path = urllib.parse.unquote(parts.path).split('/', 4)
    if is_bulk(target):
        return '', '', Verb.BULK
    if len(path) < 4 or path[1] != 'v1':
        return '', '', Verb.OTHER
    container = path[3]
    name = path[4] if len(path) > 4 else ''
    if name:
        return container, name, Verb(method.lower())
    return container, '', Verb.LIST if method == 'GET' else Verb.OTHER

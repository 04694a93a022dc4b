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

"""Reads whole objects of which nobody knows how large they are."""

from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.repository import frame


def whole(store: store_.Store, name: str) -> bytes:
    """Return all bytes of a framed object.

    :raises errors.ObjectNotFound: there is none
    :raises errors.FormatError: it is larger than such an object may be
    """
    size = store.stat(name).size_bytes
    if size > frame.SIZE_LIMIT:
        raise errors.FormatError(f'{name} has {size} bytes, which is too much')
    return store.get(name)

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


"""A store that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib

from backupkit.drivers import store
from backupkit.drivers.wrappers import base
from backupkit import errors


class ReadOnly(base.StoreWrapper):
    """Refuse what would change the store; let everything else through.

    :param inner: the store to protect
    :param target: name of its target, for messages
    """

    def __init__(self, inner: store.Store, target: str) -> None:
        super().__init__(inner)
        self._target = target

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Refuse it.

        :raises errors.TargetReadOnly: always
        """
        raise self._refusal(f'put {name}')

    def make_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Refuse it.

        :raises errors.TargetReadOnly: always
        """
        raise self._refusal(f'put {name}')

    def delete(self, name: str) -> None:
        """Refuse it, even where the object is absent.

        :raises errors.TargetReadOnly: always
        """
        raise self._refusal(f'delete {name}')

    def delete_many(self, names: Sequence[str]) -> None:
        """Refuse it, even where there is nothing to delete.

        :raises errors.TargetReadOnly: always
        """
        raise self._refusal(f'delete {len(names)} objects')

    def sweep(self) -> int:
        """Leave everything where it is."""
        return 0

    def _refusal(self, call: str) -> errors.TargetReadOnly:
        return errors.TargetReadOnly(
            f'cannot {call}: target {self._target} is configured with '
            'read_only = true'
        )

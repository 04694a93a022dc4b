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


"""Runs a service of Cinder, patient with its SQLite.

``python serve.py api ARGUMENTS`` is ``cinder-api ARGUMENTS``, but for one
thing: a transaction takes the lock for writing as it begins. Else two that
have read, and want to write, would fail at once instead of waiting.
"""

import importlib
import sys
from typing import Any


def main() -> None:
    """Run what the first argument names."""
    # First: it replaces the threads that others use.
    service = importlib.import_module(f'cinder.cmd.{sys.argv.pop(1)}')
    import sqlalchemy
    from sqlalchemy import event

    def begin_at_once(
        connection: Any, cursor: Any, statement: str, values: Any, *rest: Any
    ) -> tuple[str, Any]:
        if statement == 'BEGIN':
            statement = 'BEGIN IMMEDIATE'
        return statement, values

    event.listen(
        sqlalchemy.Engine, 'before_cursor_execute', begin_at_once, retval=True
    )
    service.main()


if __name__ == '__main__':
    main()

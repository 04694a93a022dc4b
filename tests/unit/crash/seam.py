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


"""Stand between the POSIX store and the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import functools
import inspect
from typing import Any, Protocol
from unittest import mock

from backupkit_plugins.targets.posix import fsops

#: The names of all calls that go through the seam.
CALLS = tuple(
    name for name, value in vars(fsops).items() if inspect.isfunction(value)
)


class Intercept(Protocol):
    """Does a call of the seam, or does not, in whatever way it likes."""

    def __call__(
        self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any: ...


@contextlib.contextmanager
def intercepted(intercept: Intercept) -> Iterator[None]:
    """Let every call of the seam go through ``intercept``."""
    with contextlib.ExitStack() as stack:
        for name in CALLS:
            call = functools.partial(intercept, name, getattr(fsops, name))
            stack.enter_context(mock.patch.object(fsops, name, call))
        yield

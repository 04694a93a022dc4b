# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The store of the model: what one call does, and what it may hide."""

from __future__ import annotations

from tests.unit.repository.protocol import values


class Store:
    """Keep objects.

    `get` and `stat` are always current. On a lagging store `listing` may
    leave out what was put (`unlisted`) and show what was deleted (`ghosts`)
    until the scheduler lets it catch up. On a racy store a put if absent is
    two calls, `stat` and `write`, with anything in between.
    """

    def __init__(self, *, lagging: bool, racy: bool) -> None:
        self.lagging = lagging
        self.racy = racy
        self.objects: dict[str, values.Body] = {}
        self.unlisted: frozenset[str] = frozenset()
        self.ghosts: frozenset[str] = frozenset()
        #: Which of a call's possible outcomes the scheduler wants.
        self.choice = 0

    def put(self, name: str, body: values.Body) -> bool:
        """Put an object if its name is free, and tell whether it was."""
        if name in self.objects:
            return False
        self._set(name, body)
        return True

    def write(self, name: str, body: values.Body) -> None:
        """Put an object whose name was free when it was looked at.

        If another body has come there since then one of the two is lost and
        nobody is told: a good protocol never lets it come to that.
        """
        if self.objects.get(name, body) != body:
            raise values.Violation(f'two bodies were put at {name}')
        self._set(name, body)

    def get(self, name: str) -> values.Body | None:
        """Return what a name holds now."""
        return self.objects.get(name)

    def stat(self, name: str) -> values.Body | None:
        """Tell what is at a name now: in the model size is content."""
        return self.objects.get(name)

    def delete(self, name: str) -> None:
        """Delete an object, or do nothing if there is none."""
        if self.objects.pop(name, None) is not None and self.lagging:
            self.ghosts |= {name}
            self.unlisted -= {name}

    def listing(self, prefix: str = '') -> tuple[str, ...]:
        """List names, late for puts and deletes as the scheduler likes."""
        names = set(self.objects)
        for bit, name in enumerate(self.late()):
            if self.choice >> bit & 1:
                names ^= {name}
        return tuple(sorted(n for n in names if n.startswith(prefix)))

    def late(self) -> list[str]:
        """Return the names that a listing may show wrongly."""
        return sorted(self.unlisted | self.ghosts)

    def settle(self, *names: str) -> None:
        """Let the listings catch up, wholly or for some names."""
        caught_up = frozenset(names) or frozenset(self.late())
        self.unlisted -= caught_up
        self.ghosts -= caught_up

    def _set(self, name: str, body: values.Body) -> None:
        self.objects[name] = body
        if self.lagging:
            self.unlisted |= {name}
            self.ghosts -= {name}

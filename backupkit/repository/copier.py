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

"""Copies chunks from pack to pack as they are stored, each checked."""

from __future__ import annotations

from collections.abc import Iterator
import logging

from backupkit.copy import control as control_
from backupkit import errors
from backupkit.repository import codec as codec_
from backupkit.repository import layout
from backupkit.repository import pack as pack_
from backupkit.repository import packer as packer_
from backupkit.repository import repository as repository_

LOG = logging.getLogger(__name__)

_RUN_BYTES = 4 << 20


class Copier:
    """Copies chunks from pack to pack as they are stored, each checked."""

    def __init__(
        self,
        repository: repository_.Repository,
        control: control_.Control,
        packer: packer_.Packer,
        nodes: set[bytes],
    ) -> None:
        self._repository = repository
        self._control = control
        self._packer = packer
        self._nodes = nodes
        self._decoder = codec_.Decoder()
        self._copied: set[bytes] = set()
        self.copied_bytes = 0

    def copy(
        self,
        pack: layout.PackId,
        table: list[pack_.Entry],
        used: set[bytes],
    ) -> bool:
        """Copy what is used of a pack; False where any of it is damaged."""
        needed = [
            one
            for one in table
            if one.digest in used and one.digest not in self._copied
        ]
        try:
            for run in _runs(needed):
                self._control.check()
                self._copy_run(pack, run)
        except (errors.ObjectNotFound, errors.IntegrityError) as exc:
            LOG.warning('pack %s is not moved: %s', pack.name, exc)
            return False
        return True

    def _copy_run(self, pack: layout.PackId, run: list[pack_.Entry]) -> None:
        start = run[0].offset
        length = run[-1].offset + run[-1].stored - start
        data = memoryview(self._repository.store.get(pack.name, start, length))
        for entry in run:
            at = entry.offset - start
            stored = data[at : at + entry.stored]
            self._verify(pack, entry, stored)
            if entry.digest in self._copied:
                continue
            self._copied.add(entry.digest)
            self._packer.append(
                entry.digest,
                entry.plain,
                entry.codec,
                stored,
                node=entry.digest in self._nodes,
            )
            self.copied_bytes += entry.stored
        self._control.advance(0, length)

    def _verify(
        self,
        pack: layout.PackId,
        entry: pack_.Entry,
        stored: memoryview,
    ) -> None:
        plain = bytearray(entry.plain)
        self._decoder.decode_into(entry.codec, stored, plain)
        if self._repository.digest(plain) != entry.digest:
            raise errors.Damaged(
                f'chunk {entry.digest.hex()} in pack {pack.name} does not '
                'match its digest'
            )


def _runs(entries: list[pack_.Entry]) -> Iterator[list[pack_.Entry]]:
    """Yield entries that lie near each other, to be read in one go."""
    run: list[pack_.Entry] = []
    for entry in entries:
        end = entry.offset + entry.stored
        if run and (
            end - run[0].offset > _RUN_BYTES
            or entry.offset > run[-1].offset + run[-1].stored
        ):
            yield run
            run = []
        run.append(entry)
    if run:
        yield run

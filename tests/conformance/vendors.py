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


"""Targets as a vendor ships them who overrides nothing but ``transfer``."""

from __future__ import annotations

import dataclasses

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit_plugins.targets import nfs
from backupkit_plugins.targets import posix

CHUNK_BYTES = 16384


def move(
    reader: interface.Reader,
    writer: interface.Writer,
    control: control_.Control,
) -> bool:
    """Move volumes of an even number of chunks, and decline others."""
    if -(-reader.size_bytes // CHUNK_BYTES) % 2:
        return False
    pipeline.copy(reader, writer, control, block_bytes=CHUNK_BYTES, threads=1)
    return True


class VendorPosixTarget(posix.PosixTarget):
    """Moves data its own way into a directory."""

    capabilities = dataclasses.replace(
        posix.PosixTarget.capabilities, transfer=True
    )

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        """Move some volumes."""
        return move(reader, writer, control)


class VendorNfsTarget(nfs.NfsTarget):
    """Moves data its own way to a share."""

    capabilities = dataclasses.replace(
        nfs.NfsTarget.capabilities, transfer=True
    )

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        """Move some volumes."""
        return move(reader, writer, control)

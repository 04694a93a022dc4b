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

"""How the bytes of an image are moved: offered to the storage, or copied."""

from __future__ import annotations

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import target as target_

#: Threads of a copy, where memory allows it: more than there may be CPUs,
#: because each waits for its reads and writes most of the time.
_THREADS = 8

#: Memory of one thread: its buffers, and as much for what is not aligned.
_THREAD_BYTES = 2 * pipeline.BATCH_BYTES


def threads(asked: int, budget_bytes: int) -> int:
    """Return how many threads copy an image.

    :param asked: those of a copy that computes much
    :param budget_bytes: of memory
    """
    return max(asked, min(_THREADS, budget_bytes // _THREAD_BYTES))


def move(
    target: target_.Target,
    reader: interface.Reader,
    writer: interface.Writer,
    control: control_.Control,
    *,
    block_bytes: int,
    threads: int,
) -> None:
    """Let the target transfer the bytes, and copy them where it declines."""
    if not target.transfer(reader, writer, control):
        pipeline.copy(
            reader,
            writer,
            control,
            block_bytes=block_bytes,
            threads=threads,
        )


def transfer(
    allowed: str,
    reader: interface.Reader,
    writer: interface.Writer,
    control: control_.Control,
) -> bool:
    """Let the file system share or copy blocks: a ``Target.transfer``.

    Declined for all but the writer of a new image.

    :param allowed: the option ``offload``
    """
    # Imported here: a target of chunks has this transfer too.
    from backupkit.repository.image import writer as writer_

    if allowed == 'none' or not isinstance(writer, writer_.ImageWriter):
        return False
    return writer.adopt(control, copying=allowed == 'copy')

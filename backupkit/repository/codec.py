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

"""How one chunk is stored: plain or compressed, by its own choice.

A chunk that does not shrink is stored plain, whatever the repository's
default is. Decoding trusts nothing: the plain length is known from outside
and never exceeded, whatever a frame says of itself.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
import zlib

import lz4.frame
import zstandard

from backupkit import errors
from backupkit.repository import limits

NONE, ZSTD, LZ4, ZLIB = limits.CODECS.values()

# Where no level is configured; zstd has parameters of its own.
_DEFAULT_LEVELS = {'lz4': 0, 'zlib': 1}

_SAMPLE = 4096
_WINDOW_LIMIT = limits.CHUNK_LIMITS[1]

Buffer = bytes | bytearray | memoryview


class Encoder:
    """Encodes chunks with one codec; may be used by several threads.

    :param level: of the codec, or None for its default
    """

    def __init__(self, name: str, level: int | None = None) -> None:
        self.number = limits.CODECS[name]
        self._level = _DEFAULT_LEVELS.get(name) if level is None else level
        self._local = threading.local()

    def encode(self, chunk: bytearray | memoryview) -> tuple[int, Buffer]:
        """Return the codec number that was used, and the stored bytes.

        The chunk itself is returned where it would not shrink by at least
        one part in 32: then reading it back costs no decoding.
        """
        if self.number == NONE or not self._shrinks(chunk):
            return NONE, chunk
        stored = self._compress(chunk)
        shrank = len(stored) <= len(chunk) - (len(chunk) >> 5)
        self._local.doubts = not shrank
        if not shrank:
            return NONE, chunk
        return self.number, stored

    def _shrinks(self, chunk: Buffer) -> bool:
        """Guess whether compression is worth a try.

        Neighbours are alike: where the last chunk of this thread shrank,
        this one is tried; where it did not, three samples are asked first.
        """
        if len(chunk) < 8 * _SAMPLE or not self._doubts():
            return True
        view, middle = memoryview(chunk), len(chunk) // 2
        sample = b''.join(
            (
                view[:_SAMPLE],
                view[middle : middle + _SAMPLE],
                view[-_SAMPLE:],
            )
        )
        return len(self._zstd(1).compress(sample)) < len(sample) - 256

    def _doubts(self) -> bool:
        try:
            return bool(self._local.doubts)
        except AttributeError:
            self._local.doubts = True
            return True

    def _zstd(self, level: int | None) -> zstandard.ZstdCompressor:
        cache: dict[int | None, zstandard.ZstdCompressor]
        try:
            cache = self._local.compressors
        except AttributeError:
            cache = self._local.compressors = {}
        if level not in cache:
            cache[level] = _compressor(level)
        return cache[level]

    def _compress(self, chunk: Buffer) -> bytes:
        if self.number == ZSTD:
            return self._zstd(self._level).compress(chunk)
        level = self._level or 0
        if self.number == LZ4:
            return bytes(
                lz4.frame.compress(
                    chunk, compression_level=level, store_size=True
                )
            )
        return zlib.compress(chunk, level)


def _compressor(level: int | None) -> zstandard.ZstdCompressor:
    """Return a compressor of a level, or of our own quick parameters.

    Level 1 with longer matches: on disk images a tenth quicker, for a
    fortieth more stored bytes.
    """
    if level is not None:
        return zstandard.ZstdCompressor(level=level)
    return zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(
            1, source_size=1 << 18, hash_log=14, min_match=7
        )
    )


class Decoder:
    """Decodes chunks into buffers of theirs; for several threads."""

    def __init__(self) -> None:
        self._local = threading.local()

    def decode_into(
        self, codec: int, stored: Buffer, out: bytearray | memoryview
    ) -> None:
        """Fill ``out``, whose length is the chunk's plain length.

        :raises errors.FormatTooNew: an unknown codec
        :raises errors.Damaged: the stored bytes do not give exactly that
        """
        if codec == NONE:
            if len(stored) != len(out):
                raise errors.Damaged('a plain chunk has a wrong length')
            out[:] = stored
            return
        try:
            decode = _DECODERS[codec]
        except KeyError:
            raise errors.FormatTooNew(
                f'a chunk uses codec number {codec}, which this release '
                'does not know'
            ) from None
        try:
            decode(self, stored, out)
        except (
            zstandard.ZstdError,
            zlib.error,
            RuntimeError,
            EOFError,
            ValueError,
        ) as exc:
            raise errors.Damaged(f'a chunk cannot be decoded: {exc}') from exc

    def _zstd(self, stored: Buffer, out: bytearray | memoryview) -> None:
        try:
            context = self._local.zstd
        except AttributeError:
            context = self._local.zstd = zstandard.ZstdDecompressor(
                max_window_size=_WINDOW_LIMIT
            )
        # A stream gives no more than is asked of it; the simple call
        # trusts the size that the frame states.
        with context.stream_reader(stored) as stream:
            filled = 0
            view = memoryview(out)
            while filled < len(out):
                count = stream.readinto(view[filled:])
                if not count:
                    raise ValueError('it ends early')
                filled += count
            if stream.read(1):
                raise ValueError('it is longer than stated')

    def _lz4(self, stored: Buffer, out: bytearray | memoryview) -> None:
        decompressor = lz4.frame.LZ4FrameDecompressor()
        plain = decompressor.decompress(stored, max_length=len(out) + 1)
        # The end mark comes with a call of its own when the buffer filled.
        if len(plain) == len(out) and not decompressor.eof:
            plain += decompressor.decompress(b'', max_length=1)
        if len(plain) != len(out) or not decompressor.eof:
            raise ValueError('it has a wrong length')
        if decompressor.unused_data:
            raise ValueError('bytes follow it')
        out[:] = plain

    def _zlib(self, stored: Buffer, out: bytearray | memoryview) -> None:
        decompressor = zlib.decompressobj()
        plain = decompressor.decompress(stored, len(out) + 1)
        if len(plain) != len(out) or not decompressor.eof:
            raise ValueError('it has a wrong length')
        if decompressor.unused_data:
            raise ValueError('bytes follow it')
        out[:] = plain


_DECODERS: dict[
    int, Callable[[Decoder, Buffer, bytearray | memoryview], None]
] = {
    ZSTD: Decoder._zstd,
    LZ4: Decoder._lz4,
    ZLIB: Decoder._zlib,
}

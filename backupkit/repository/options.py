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

"""The options that every repository target has in its section."""

from oslo_config import cfg

from backupkit.repository import limits

OPTIONS = [
    cfg.StrOpt(
        'codec',
        choices=tuple(limits.CODECS),
        default='zstd',
        help='How new chunks are compressed. Chunks that do not shrink are '
        'stored plain in any case. By default zstd.',
    ),
    cfg.IntOpt(
        'compression_level',
        min=-7,
        max=22,
        help='Level of the codec, in its own scale. By default 1 for '
        'zlib, 0 for lz4, and for zstd level 1 with longer matches: the '
        'quickest that shrink well.',
    ),
    cfg.IntOpt(
        'chunk_size_bytes',
        min=limits.CHUNK_LIMITS[0],
        max=limits.CHUNK_LIMITS[1],
        default=limits.DEFAULT_CHUNK_BYTES,
        help='Plain size of a chunk, the unit of deduplication. Used when '
        'the repository is made, and fixed from then on.',
    ),
    cfg.IntOpt(
        'pack_size_bytes',
        min=1 << 16,
        max=limits.PACK_LIMIT // 2,
        default=limits.DEFAULT_PACK_BYTES,
        help='Size at which a pack is stored and the next one begun; at '
        'least twice the chunk size. Used when the repository is made, and '
        'fixed from then on.',
    ),
    cfg.StrOpt(
        'digest',
        choices=tuple(limits.DIGESTS),
        default='blake3',
        help='Digest of chunks: blake3 is the quickest, sha256 is for hosts '
        'that must follow FIPS 140. Used when the repository is made, and '
        'fixed from then on.',
    ),
]

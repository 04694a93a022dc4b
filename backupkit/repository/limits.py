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

"""Numbers and names of the format that options and code share."""

#: Codecs and their numbers in records.
CODECS = {'none': 0, 'zstd': 1, 'lz4': 2, 'zlib': 3}

#: Digests and their numbers in binary headers.
DIGESTS = {'blake3': 1, 'sha256': 2}

#: Plain length of a chunk: at the least and most.
CHUNK_LIMITS = (4096, 16 << 20)

#: Greatest pack that is read.
PACK_LIMIT = 1 << 30

#: Chunks in one pack, at the most.
ENTRIES_LIMIT = 65_536

#: What encryption adds to a chunk: nonce and tag.
SEALED_BYTES = 12 + 16

#: Measured; see the page on performance.
DEFAULT_CHUNK_BYTES = 256 << 10
DEFAULT_PACK_BYTES = 32 << 20

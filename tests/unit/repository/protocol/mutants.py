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

"""The rules of the protocol that can be broken on purpose, one at a time."""

from __future__ import annotations

import dataclasses
import enum


class Mutant(enum.Enum):
    """Name a broken rule."""

    LIST_BEFORE_REGISTERING = 'condemned list read before registering'
    NO_STAT = 'reuse without stat, from a cache'
    UNCOMMITTED = 'reuse of uncommitted packs'
    NO_TOMBSTONE = 'revert without tombstone'
    LIST_EMPTIED_FIRST = 'list emptied before the sweep'
    REACHED_UNLISTED = 'a reached pack taken off the list'
    NO_WAIT = 'no wait before the second reading of the manifests'
    BARRIER_FIRST = 'barrier read before the packs are condemned'
    ABORTING_NOT_LIVE = 'no wait for a run without its tombstone'
    ABORT_UNCHECKED = 'packs deleted before the catalog says aborted'
    TOMBSTONE_SWEPT = 'tombstone swept while a writer is astray'
    RACY_ABORT = 'a committing run aborted on a racy store'
    REWRITTEN = 'a resumed commit puts another manifest'
    INDEX_SHARED = 'two attempts put one index'
    INDEX_UNCHECKED = 'reuse of a pack whose index is not looked at'
    PUT_FORGOTTEN = 'revert forgets that its put may still arrive'
    SPARED_BLINDLY = 'a refused delete takes back another one'
    SPARED_AGAIN = 'a refused delete takes back one that was begun before'
    EARLIER_UNCHECKED = 'packs of an earlier attempt used without a look'
    OVERTAKEN_COMMITS = 'a writer that was taken over begins its commit'
    MOVED_EARLY = 'chunks moved without waiting'
    MOVED_UNCHECKED = 'a pack deleted without looking where it moved to'
    LATE_LEFT = 'gc leaves the late manifest of a deleted run'


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Tell an actor what the store is like, and which rule to break."""

    racy: bool = False
    mutant: Mutant | None = None

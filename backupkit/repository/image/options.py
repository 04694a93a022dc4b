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

"""The options of targets that keep images."""

from oslo_config import cfg

OFFLOAD = cfg.StrOpt(
    'offload',
    choices=('share', 'copy', 'none'),
    default='share',
    help='What the storage may do by itself where a volume and its backup '
    'are files of one file system: share blocks, or else copy them too, so '
    'that no byte is read; such a backup is unverified until its first '
    'verify. none reads and checks every byte. By default blocks are shared '
    'where that can be, and nothing is copied unread. It is about backups '
    'that are images.',
)

LAYOUT = cfg.StrOpt(
    'layout',
    choices=('chunks', 'image'),
    default='chunks',
    help='How new backups are kept: as chunks, of which each is stored only '
    'once in the repository, and compressed; or each as one raw image file, '
    'which can be shared with the volume, or opened as a disk. What was '
    'kept in the other layout before can be used all the same. By default '
    'as chunks.',
)

#: Of a target of chunks whose store keeps files.
OF_FILES = (LAYOUT, OFFLOAD)

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

"""The options of the file driver's section."""

from __future__ import annotations

from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt(
        'volumes_dir',
        help='Absolute path of the directory with the image files. The '
        'id of a volume is its path below it. Files whose name begins with '
        'a dot are no volumes. By default there are no image files.',
    ),
    cfg.ListOpt(
        'allowed_devices',
        default=[],
        help='Paths of block devices that may be backed up and restored '
        'to, separated by commas. The id of such a volume is its path. By '
        'default none.',
    ),
    cfg.ListOpt(
        'qcow2_volumes',
        default=[],
        help='Ids of the volumes below volumes_dir that are qcow2 images, '
        'separated by commas; a star stands for any characters: '
        '"*.qcow2,images/*". Their format is never guessed: all other '
        'volumes are raw, whatever is in them. By default none is qcow2.',
    ),
    cfg.BoolOpt(
        'dirty_bitmaps',
        default=False,
        help='Whether a backup of a qcow2 volume leaves a dirty bitmap in '
        'the image, in which QEMU marks what is written from then on, so '
        'that the next backup reads only that. By default none is left, '
        'and all that is allocated is read.',
    ),
    cfg.StrOpt(
        'storage_pool',
        default='',
        help='Name of the pool that the volumes lie in, where one file '
        'system stands for several. By default they share one pool.',
    ),
]

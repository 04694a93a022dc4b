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

"""Snapshots of volumes that a QEMU process has open.

The process itself goes over to a new overlay, and itself merges one: nobody
else may write to what it has open. Here is no decision about a volume, only
what its process is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import glob
import hashlib
import json
import logging
import os
import time
from typing import Any

from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import qmp

LOG = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """A QEMU process that has a volume open.

    :ivar nodes: its names of what it has open of a file, by our name of
        the file: the image first
    :ivar paths: where it has them
    """

    monitor: qmp.Monitor
    nodes: dict[str, list[str]]
    paths: dict[str, str]


@contextlib.contextmanager
def user(
    sockets: Sequence[str],
    files: files_.Files,
    names: Sequence[str],
) -> Iterator[User | None]:
    """Lend the process that has one of some files open for writing.

    A monitor talks to one at a time: do not ask for it again meanwhile.

    :param sockets: paths of monitors, with wildcards
    :returns: None where no monitor tells of it
    """
    with contextlib.ExitStack() as stack:
        for path in _expand(sockets):
            with contextlib.ExitStack() as tried:
                try:
                    monitor = tried.enter_context(qmp.Monitor(path))
                    found = _look(monitor, files, names)
                except errors.SourceError as exc:
                    # Sockets stay behind when their process has ended.
                    LOG.debug('%s', exc)
                    continue
                if found is not None:
                    stack.push(tried.pop_all())
                    yield found
                    return
        yield None


def _expand(sockets: Sequence[str]) -> Iterator[str]:
    for pattern in sockets:
        yield from sorted(glob.glob(pattern))


def _look(
    monitor: qmp.Monitor, files: files_.Files, names: Sequence[str]
) -> User | None:
    """Return what a process has open of some files, if it writes to one."""
    inodes = {}
    for ours in names:
        found = files.stat(ours)
        if found is not None:
            inodes[found.st_dev, found.st_ino] = ours
    nodes: dict[str, list[str]] = {}
    paths: dict[str, str] = {}
    writes = False
    for node in monitor.run('query-named-block-nodes', {'flat': True}):
        path = _path_of(node)
        name = _name_of(path, inodes)
        if name is None:
            continue
        paths[name] = path
        writes |= not node['ro']
        is_image = node['drv'] in ('raw', 'qcow2')
        there = nodes.setdefault(name, [])
        there.insert(0 if is_image else len(there), node['node-name'])
    return User(monitor, nodes, paths) if writes else None


def _path_of(node: dict[str, Any]) -> str:
    """Return the path of the file of a node; empty where it has none.

    Where the file below an image was named to the process, and not found in
    the image's header, the image has no plain name but its options.
    """
    name = str(node['file'])
    if node['drv'] not in ('raw', 'qcow2', 'file'):
        return ''
    if not name.startswith('json:'):
        return name
    try:
        options = json.loads(name.removeprefix('json:'))
        return str(options['file']['filename'])
    except (ValueError, KeyError, TypeError):
        return ''


def _name_of(path: str, inodes: dict[tuple[int, int], str]) -> str | None:
    """Return our name of a file, where it is one of ours."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return inodes.get((found.st_dev, found.st_ino))


def cover(of: User, below: str, overlay: str) -> None:
    """Have a process go over to an overlay, at one moment for all writes.

    :param overlay: an image of no data of its own, in the same directory
    """
    directory = os.path.dirname(of.paths[below])
    digest = hashlib.blake2b(overlay.encode(), digest_size=10).hexdigest()
    of.monitor.run(
        'blockdev-snapshot-sync',
        {
            'node-name': of.nodes[below][0],
            'snapshot-file': os.path.join(directory, overlay),
            'snapshot-node-name': f'bk-{digest}',
            'format': 'qcow2',
            'mode': 'existing',
        },
    )


def begin_merge(of: User, links: Sequence[model.Link], place: int) -> None:
    """Have a process begin to merge an overlay into the file below.

    :param links: the chain, with the file in use first
    :param place: of the overlay
    :raises qmp.Refused: it does not, and has not begun
    """
    job = _job(links)
    _clear(of, job)
    arguments = {
        'job-id': job,
        'device': of.nodes[links[0].name][0],
        'top-node': of.nodes[links[place].name][0],
        'base-node': of.nodes[links[place + 1].name][0],
        'auto-dismiss': False,
    }
    if place:
        # What the file above is to name from then on.
        arguments['backing-file'] = links[place + 1].name
    of.monitor.run('block-commit', arguments)


def end_merge(
    of: User, links: Sequence[model.Link], switching: Callable[[], None]
) -> None:
    """Wait for the end of a merge.

    Where the overlay is the file that is written, the process goes on with
    the file below.

    :param switching: called right before it is asked to go on there
    """
    job = _job(links)
    if _wait(of, job, {'ready', 'concluded'}) == 'ready':
        switching()
        of.monitor.run('job-complete', {'id': job})
        _wait(of, job, {'concluded'})
    _end(of, job)


def release(of: User, name: str) -> None:
    """Have a process close a file that it has merged.

    What its command line has named it keeps open, and above the file that
    it goes on with.
    """
    for node in of.nodes.get(name, ()):
        # Refused where it has closed it by itself, or will.
        with contextlib.suppress(qmp.Refused):
            of.monitor.run('blockdev-del', {'node-name': node})


def settle(of: User, links: Sequence[model.Link]) -> None:
    """Wait for a merge that a process has begun and nobody waits for.

    One that could go over to the file below is stopped instead.
    """
    _clear(of, _job(links))


def _job(links: Sequence[model.Link]) -> str:
    """Return the name of our job on a volume: it has one at a time."""
    volume = links[-1].name.partition('.')[0]
    digest = hashlib.blake2b(volume.encode(), digest_size=10).hexdigest()
    return f'backupkit-{digest}'


def _clear(of: User, job: str) -> None:
    """End a job that an earlier attempt has left, whatever it does."""
    found = _find(of, job)
    if found is None:
        return
    if _wait(of, job, {'ready', 'concluded'}) == 'ready':
        # Refused where it was told to complete, and does so now.
        with contextlib.suppress(qmp.Refused):
            of.monitor.run('job-cancel', {'id': job})
        _wait(of, job, {'concluded'})
    of.monitor.run('job-dismiss', {'id': job})


def _end(of: User, job: str) -> None:
    found = _find(of, job) or {}
    of.monitor.run('job-dismiss', {'id': job})
    if found.get('error'):
        raise errors.SourceError(
            f'the QEMU at {of.monitor.path} cannot merge a snapshot: '
            f'{found["error"]}'
        )


def _wait(of: User, job: str, states: set[str]) -> str:
    """Wait until a job is in one of some states; return it.

    :raises errors.SourceError: the job is gone
    """
    while True:
        found = _find(of, job)
        if found is None:
            raise errors.SourceError(
                f'the QEMU at {of.monitor.path} has forgotten how a merge '
                'ended'
            )
        status = str(found['status'])
        if status in states:
            return status
        time.sleep(_PAUSE_SECONDS)


def _find(of: User, job: str) -> dict[str, Any] | None:
    for found in of.monitor.run('query-jobs'):
        if found['id'] == job:
            return dict(found)
    return None

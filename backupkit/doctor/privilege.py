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

"""Whether the privileged helper's code and configuration are root's own."""

from __future__ import annotations

from collections.abc import Iterator
import itertools
import os
import site
import stat
import sys

from backupkit.conf import mounts as options
from backupkit.doctor import diagnosis
from backupkit import errors


def helper(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell whether anybody but root can change what the helper runs.

    Nothing is told where no section has a share to mount, and where the
    command runs as root, which needs no helper to be.
    """
    if not _has_share(subject) or os.geteuid() == 0:
        return
    # Only here, for it imports oslo.privsep.
    from backupkit.mounts import command

    line = command.helper()
    yield diagnosis.Diagnosis(
        'privilege', 'command line', diagnosis.OK, ' '.join(line)
    )
    yield from import_path(_places())
    yield from _configuration(line)


def _has_share(subject: diagnosis.Subject) -> bool:
    conf = subject.conf
    names = [f'backend:{name}' for name in conf.enabled_backends]
    names += [f'target:{name}' for name in conf.enabled_targets]
    return any(
        getattr(conf[name], option, None)
        for name in names
        if name in conf
        for option in options.SHARES.values()
    )


def _places() -> list[str]:
    """Return where a Python like ours, but isolated, takes its code from."""
    given = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    others = {*given, os.getcwd(), site.getusersitepackages()}
    return [
        os.path.join(sys.prefix, 'pyvenv.cfg'),
        os.path.dirname(sys.executable),
        *(place for place in sys.path if place not in others),
    ]


def import_path(places: list[str]) -> Iterator[diagnosis.Diagnosis]:
    """Tell whether this user can write to any of these files and trees."""
    checked = 0
    for place in places:
        if not place or not os.path.isabs(place) or not os.path.exists(place):
            continue
        checked += 1
        wrong = next(_writable(os.path.realpath(place)), '')
        if wrong:
            yield diagnosis.Diagnosis(
                'privilege',
                place,
                diagnosis.PROBLEM,
                f'this user can write to {wrong}, which the privileged '
                'helper runs as root',
                f'chown -R root {wrong}; chmod -R go-w {wrong}',
            )
            return
    yield diagnosis.Diagnosis(
        'privilege',
        'import path',
        diagnosis.OK,
        f'this user cannot change any of {checked} places',
    )


def _writable(path: str) -> Iterator[str]:
    """Yield what this user can change of a tree, and of what is above it."""
    above = path
    while above != '/':
        above = os.path.dirname(above)
        # In a sticky directory what belongs to root stays.
        if os.access(above, os.W_OK) and not (
            os.stat(above).st_mode & stat.S_ISVTX
        ):
            yield above
    if _is_ours(path):
        yield path
    for base, directories, files in os.walk(path):
        for name in (*directories, *files):
            one = os.path.join(base, name)
            if not os.path.islink(one) and _is_ours(one):
                yield one


def _is_ours(path: str) -> bool:
    # An owner can give himself the right to write.
    return os.access(path, os.W_OK) or os.stat(path).st_uid == os.geteuid()


def _configuration(line: tuple[str, ...]) -> Iterator[diagnosis.Diagnosis]:
    from backupkit.privileged import custody

    for option, path in itertools.pairwise(line):
        if option != '--config-file':
            continue
        try:
            with custody.file(path):
                pass
        except errors.PrivilegeError as error:
            # Root may read what we may not.
            if 'Permission denied' in str(error):
                continue
            yield diagnosis.Diagnosis(
                'privilege',
                path,
                diagnosis.PROBLEM,
                f'the privileged helper refuses it: {error}',
                f'chown root {path}; chmod go-w {path}; so with each '
                'directory above it',
            )

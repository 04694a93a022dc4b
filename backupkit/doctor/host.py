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


"""The software, the configuration, and the directories of this host."""

from __future__ import annotations

from collections.abc import Iterator
import importlib.metadata
import os
import platform
import shutil
import stat
import sys

from backupkit import conf as conf_
from backupkit.doctor import diagnosis
from backupkit.drivers import loader

_PACKAGES = ('taskflow', 'SQLAlchemy', 'blake3', 'zstandard', 'lz4')
_TOOLS = {
    'dot': 'to draw the graph of a dry run',
    'mount.nfs': 'to mount NFS shares',
    'qemu-img': 'to look into images that are not raw',
}


def software(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell the versions of what is installed."""
    yield diagnosis.Diagnosis(
        'software', 'python', diagnosis.OK, platform.python_version()
    )
    for name in _PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield diagnosis.Diagnosis(
                'software',
                name,
                diagnosis.PROBLEM,
                'it is not installed',
                f'pip install {name}',
            )
        else:
            yield diagnosis.Diagnosis('software', name, diagnosis.OK, version)
    if sys.modules.get('eventlet') is not None:
        yield diagnosis.Diagnosis(
            'software',
            'eventlet',
            diagnosis.WARNING,
            'eventlet is loaded in this process: copies may stall',
            "put sys.modules['eventlet'] = None before all imports",
        )
    for name, use in _TOOLS.items():
        path = shutil.which(name)
        told = path or f'not installed; only needed {use}'
        yield diagnosis.Diagnosis('software', name, diagnosis.OK, told)


def configuration(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell what is wrong in the configuration files."""
    conf = subject.conf
    problems = conf_.problems(conf, loader.driver_options)
    for problem in problems:
        error = problem.severity == 'error'
        yield diagnosis.Diagnosis(
            'configuration',
            f'[{problem.section}] {problem.option}'.rstrip(),
            diagnosis.PROBLEM if error else diagnosis.WARNING,
            problem.message,
            problem.cure or 'mend this option',
        )
    if not problems:
        count = len(conf.enabled_backends), len(conf.enabled_targets)
        told = '{} backends and {} targets are enabled'.format(*count)
        yield diagnosis.Diagnosis('configuration', '', diagnosis.OK, told)
    for name in conf.config_file or ():
        path = os.path.expanduser(name)
        if os.path.exists(path) and _mode(path) & stat.S_IWOTH:
            yield diagnosis.Diagnosis(
                'configuration',
                path,
                diagnosis.PROBLEM,
                'everybody may write to it',
                f'chmod o-w {path}',
            )


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def directories(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell whether the state directory is ours alone."""
    path = subject.state_path
    name = 'state_path'
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield diagnosis.Diagnosis(
            'directory',
            name,
            diagnosis.PROBLEM,
            f'this user cannot write to {path}',
            f'let this user own {path}, or name another one in state_path',
        )
    elif _mode(path) & stat.S_IRWXO:
        yield diagnosis.Diagnosis(
            'directory',
            name,
            diagnosis.WARNING,
            f'{path} is open to everybody: mode {_mode(path):o}',
            f'chmod o-rwx {path}',
        )
    else:
        yield diagnosis.Diagnosis('directory', name, diagnosis.OK, path)

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

"""Which configuration files are read, and how.

Files named by the caller are read and no others. Else the files that
oslo.config looks for are read: ``backupkit.conf`` and the directory
``backupkit.conf.d`` in ``~/.backupkit``, ``~``, ``/etc/backupkit`` and
``/etc``. Where there is none of these either, the embedded file works below
the user's data directory, so that a first backup needs no file at all.
"""

from __future__ import annotations

from collections.abc import Sequence
import glob
import os
import pathlib

from oslo_config import cfg

from backupkit.conf import opts
from backupkit import errors

PROJECT = 'backupkit'
EMBEDDED = pathlib.Path(__file__).with_name('embedded.conf')

#: What every file and directory that backupkit makes allows to others:
#: nothing; and to its group: all.
_DIRECTORY_MODE = 0o770


def user_data_path() -> pathlib.Path:
    """Return where the embedded configuration keeps all it makes.

    See the XDG Base Directory Specification, version 0.8.
    """
    base = os.environ.get('XDG_DATA_HOME', '')
    if not base.startswith('/'):
        base = os.path.expanduser('~/.local/share')
    return pathlib.Path(base, PROJECT)


def load(
    config_files: Sequence[str] | None = None,
    args: Sequence[str] | None = None,
    *,
    config_dirs: Sequence[str] | None = None,
    conf: cfg.ConfigOpts | None = None,
) -> cfg.ConfigOpts:
    """Read the configuration.

    What is in the files is not judged here: see
    :func:`backupkit.conf.validation.check`.

    :param config_files: read in this order; later ones win
    :param args: further arguments in the syntax of oslo.config
    :param config_dirs: whose ``*.conf`` are read after the files
    :param conf: filled and returned; a new one by default
    :raises errors.ConfigurationError: a file cannot be read or parsed
    """
    conf = cfg.ConfigOpts() if conf is None else conf
    opts.register(conf)
    given = [f'--config-file={name}' for name in config_files or ()]
    given += [f'--config-dir={name}' for name in config_dirs or ()]
    files, directories = ([], []) if given else _found()
    embedded = not given and not files and not directories
    conf.clear_default('state_path')
    if embedded:
        files = [str(EMBEDDED)]
        conf.set_default('state_path', str(user_data_path()))
    try:
        conf(
            [*given, *(args or ())],
            project=PROJECT,
            prog=PROJECT,
            default_config_files=files,
            default_config_dirs=directories,
        )
    except (cfg.Error, OSError, UnicodeDecodeError) as error:
        raise errors.ConfigurationError(
            f'cannot read the configuration: {_told(error)}'
        ) from error
    if embedded:
        _make_directories(pathlib.Path(conf.state_path))
    return conf


def files(conf: cfg.ConfigOpts) -> list[str]:
    """Return the files that a loaded configuration was read from."""
    directories = conf.config_dirs or conf.default_config_dirs
    names = [os.path.expanduser(name) for name in conf.config_file or ()]
    for directory in directories:
        pattern = os.path.join(os.path.expanduser(directory), '*.conf')
        names += sorted(glob.glob(pattern))
    return names


def sections(conf: cfg.ConfigOpts) -> dict[str, dict[str, list[str]]]:
    """Return every option that the files hold, known or not.

    As ``{section: {option: [value, ...]}}``, all of it text.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for name in files(conf):
        cfg.ConfigParser(name, found).parse()
    return found


def _found() -> tuple[list[str], list[str]]:
    """Search as oslo.config does, for the project's name only."""
    files = cfg.find_config_files(project=PROJECT, prog='')
    directories = cfg.find_config_dirs(project=PROJECT, prog='')
    return files, directories


def _told(error: Exception) -> str:
    if isinstance(error, cfg.ConfigFilesNotFoundError):
        return f'there is no file {", ".join(error.config_files)}'
    if isinstance(error, cfg.ConfigFilesPermissionDeniedError):
        names = ', '.join(error.config_files)
        return f'no permission to read {names}'
    if isinstance(error, cfg.ConfigDirNotFoundError):
        return f'there is no directory {error.config_dir}'
    return str(error)


def _make_directories(state_path: pathlib.Path) -> None:
    """Make what the embedded configuration names; existing ones stay."""
    for path in (
        state_path,
        state_path / 'volumes',
        state_path / 'repository',
    ):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=_DIRECTORY_MODE)
            # The umask may have taken something from the mode.
            path.chmod(_DIRECTORY_MODE)
        except FileExistsError:
            continue
        except OSError as error:
            raise errors.ConfigurationError(
                f'cannot make {path}: {error.strerror}; name another place '
                'in a configuration file, see --config-file'
            ) from error

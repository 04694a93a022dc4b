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

"""What goes wrong where images are kept, as errors of a target."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno

from backupkit import errors

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def at_target(where: str) -> Iterator[None]:
    """Turn errors of files and of volume drivers into those of a target.

    The same driver is somebody's source elsewhere; here it keeps backups.

    :param where: names the place in messages
    :raises errors.TargetFull: there is no space left
    :raises errors.TargetReadOnly: it must not be written to
    :raises errors.TargetError: of anything else
    """
    try:
        yield
    except OSError as exc:
        raise _of_system(where, exc) from exc
    except (errors.SourceError, errors.InUse) as exc:
        cause = exc.__cause__
        if isinstance(cause, OSError):
            raise _of_system(where, cause) from exc
        raise errors.TargetError(f'{where}: {exc}') from exc


def _of_system(where: str, exc: OSError) -> errors.TargetError:
    told = f'{where}: {exc.strerror or exc}'
    if exc.errno in _FULL:
        return errors.TargetFull(told)
    if exc.errno == errno.EROFS:
        return errors.TargetReadOnly(told)
    return errors.TargetError(told)

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


"""What becomes of faults that are no errors of ours.

Only errors of :mod:`backupkit.errors` leave a driver: that is the
contract, and the conformance suite tests it. A driver that breaks it all
the same must not break the flow: its fault is named with the driver and
takes the way of every other error. This is the one place with a broad
catch.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import importlib.metadata

from backupkit.drivers import contract
from backupkit.drivers import target as target_
from backupkit import errors


def as_error(exc: Exception, where: str) -> errors.BackupkitError:
    """Return an error of ours that tells of a foreign one."""
    if isinstance(exc, errors.BackupkitError):
        return exc
    return errors.BackupkitError(
        f'{where}: unexpected {type(exc).__name__}: {exc}'
    )


@contextlib.contextmanager
def attributed(driver: contract.Driver) -> Iterator[None]:
    """Turn a foreign exception of a driver into an error that names it.

    :raises errors.SourceError: of a volume driver
    :raises errors.TargetError: of a target driver
    """
    try:
        yield
    except errors.BackupkitError:
        raise
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - see above
        is_target = isinstance(driver, target_.Target)
        kind = 'target' if is_target else 'backend'
        error = errors.TargetError if is_target else errors.SourceError
        cls = type(driver)
        raise error(
            f'{kind} {driver.name}: fault in its driver '
            f'{cls.__module__}.{cls.__qualname__}{_distribution(cls)}: '
            f'{type(exc).__name__}: {exc}'
            # TaskFlow cannot keep a cause that is no Exception.
        ) from (exc if isinstance(exc, Exception) else None)


def _distribution(cls: type[contract.Driver]) -> str:
    """Tell in which distribution a driver came, if that can be told."""
    package = cls.__module__.partition('.')[0]
    for name in importlib.metadata.packages_distributions().get(package, ()):
        return f' of {name} {importlib.metadata.version(name)}'
    return ''


@contextlib.contextmanager
def suspending(
    target: target_.Target, *, always: bool = False
) -> Iterator[None]:
    """Suspend the run where its target stays away.

    Retries are the business of the wrappers: what comes through here has
    been tried until the deadline. What was made so far may still be of
    use once the target is back, so it is kept.

    :param always: also where the target says no: an earlier try may be on
        its way still, and must not meet an abort
    """
    try:
        yield
    except errors.RunAborted:
        raise
    except errors.TargetUnavailable as exc:
        raise errors.Suspended(
            f'target {target.name} stayed away: {exc}'
        ) from exc
    except errors.TargetError as exc:
        if not always:
            raise
        raise errors.Suspended(
            f'whether target {target.name} has kept the backup is not '
            f'known: {exc}'
        ) from exc

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

"""Every error that backupkit raises, as one tree.

::

    BackupkitError
    +-- ConfigurationError      the operator mends the configuration
    |   +-- DriverError         a driver cannot be loaded
    +-- UsageError              the caller mends the request
    |   +-- NotFound            a named thing does not exist
    |   +-- NotSupported        a driver cannot do what was asked
    +-- Conflict                somebody else holds what was asked for
    |   +-- InUse               a volume is open for writing
    |   +-- NotOwner            another catalog writes to this repository
    +-- SourceError             a volume cannot be read or written
    |   +-- VolumeNotFound
    |   +-- VolumeExists
    |   +-- VolumeChanged       the volume changed while it was read
    |   +-- CheckpointLost      what changed since is not known
    |   +-- DestinationTooSmall
    +-- TargetError             the place of the backups failed
    |   +-- ObjectNotFound
    |   +-- ObjectExists
    |   +-- TargetFull          no space is left, or a quota is reached
    |   +-- TargetMissing       the place is not there, or not mounted
    |   +-- TargetReadOnly
    |   +-- TargetUnavailable   a fault that may pass; retryable
    |       +-- TargetStalled   a call does not come back
    +-- IntegrityError          stored data is not what was written
    |   +-- FormatError         bytes that do not follow the format
    |   +-- FormatTooNew        written by a newer release
    |   +-- Damaged             a chunk, pack or manifest is damaged
    +-- CatalogError            the catalog cannot be used
    |   +-- CatalogFull         no space is left for its database
    +-- PrivilegeError          a privileged step was refused or failed
    +-- Cancelled               the operator stopped the run
    +-- RunAborted              the run was aborted or taken over

Each class says who must act. ``exit_code`` is what the command line
returns; ``retryable`` says whether the same call may succeed later.
Errors carry their message as the only positional argument, so that they
survive being rebuilt in another process.
"""


class BackupkitError(Exception):
    """Base of every error that leaves a driver or the core."""

    exit_code = 1
    retryable = False


class ConfigurationError(BackupkitError):
    """The configuration is wrong; the message names option and cure."""

    exit_code = 2


class DriverError(ConfigurationError):
    """A driver cannot be loaded: unknown, clashing or of a wrong contract."""


class UsageError(BackupkitError):
    """The request itself is wrong."""

    exit_code = 2


class NotFound(UsageError):
    """A named backup, target, backend or run does not exist."""


class NotSupported(UsageError):
    """A driver lacks the capability that was asked for."""


class Conflict(BackupkitError):
    """Another run or process holds what was asked for."""

    exit_code = 6


class InUse(Conflict):
    """A volume is open for writing by somebody else."""


class NotOwner(Conflict):
    """Another catalog writes to this repository."""


class SourceError(BackupkitError):
    """A volume cannot be reached, read or written."""

    exit_code = 3


class VolumeNotFound(SourceError):
    """The volume does not exist, or no longer exists."""


class VolumeExists(SourceError):
    """A volume of that name exists already."""


class VolumeChanged(SourceError):
    """The volume changed while it was read without a snapshot."""


class CheckpointLost(SourceError):
    """The driver cannot tell what changed since the checkpoint."""


class DestinationTooSmall(SourceError):
    """The volume to restore to is smaller than the backup."""


class TargetError(BackupkitError):
    """The place where backups are kept failed."""

    exit_code = 5


class ObjectNotFound(TargetError):
    """The store holds no object of that name."""


class ObjectExists(TargetError):
    """The store holds an object of that name already."""


class TargetFull(TargetError):
    """No space is left at the target, or a quota is reached."""


class TargetMissing(TargetError):
    """The target's directory, container or mount is not there."""


class TargetReadOnly(TargetError):
    """The target refuses writes."""


class TargetUnavailable(TargetError):
    """The target failed in a way that may pass."""

    retryable = True
    #: For how long the target asks to be left alone; set on an error.
    retry_after_seconds = 0.0


class TargetStalled(TargetUnavailable):
    """A call into the target was given up: it has not come back in time.

    It may still be under way. What it was to do may yet be done, and memory
    that it was given must not be used again.
    """


class IntegrityError(BackupkitError):
    """Stored data is not what was written."""

    exit_code = 4


class FormatError(IntegrityError):
    """Bytes that were read do not follow the repository format."""


class FormatTooNew(IntegrityError):
    """The repository was written in a format of a newer release."""

    exit_code = 8


class Damaged(IntegrityError):
    """A chunk, pack, index or manifest is damaged or missing."""


class CatalogError(BackupkitError):
    """The catalog's database cannot be opened, read or written."""

    exit_code = 5


class CatalogFull(CatalogError):
    """The file system of the catalog's database has no space left."""


class PrivilegeError(BackupkitError):
    """A privileged step was refused or failed."""

    exit_code = 7


class Cancelled(BackupkitError):
    """The operator stopped the run; what it had made was removed."""

    exit_code = 130


class RunAborted(BackupkitError):
    """The run was aborted or taken over by somebody else."""

    exit_code = 6


class Suspended(BaseException):
    """The run stops where it is and keeps what it has made.

    Not an :class:`Exception`: nothing on the way out may take it for a
    failure and revert, just as nothing runs when a process is killed.
    """

    exit_code = 9

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

"""The version of the package, read from what is installed."""

import functools


@functools.cache
def version_string() -> str:
    """Return the version as a user should see it.

    pbr is imported at the first call, for only few commands need it.
    """
    from pbr import version

    return str(version.VersionInfo('backupkit').version_string())

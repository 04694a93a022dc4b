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


"""The conformance suite, run against a configured target."""

from __future__ import annotations

from backupkit.api import session as session_
from backupkit.copy import control as control_
from backupkit.testing import validate as suites


def validate(
    session: session_.Session,
    name: str | None,
    control: control_.Control,
) -> list[tuple[str, str, str]]:
    """Run the suite, and return (test, outcome, message) of each test."""
    target = session.target(session.target_name(name))
    return suites.validate_target(target, control)

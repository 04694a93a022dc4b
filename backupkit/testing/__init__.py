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


"""What a driver's author needs to know that a driver is right.

Shipped with backupkit, and imported by nothing else in it but the command
that validates a configured target.

- :mod:`~backupkit.testing.store`, :mod:`~backupkit.testing.target`,
  :mod:`~backupkit.testing.volume` and :mod:`~backupkit.testing.roundtrip`
  hold the conformance suites, which a driver's test class inherits.
- :mod:`~backupkit.testing.memory` holds drivers in memory: worked examples
  of the contract, and partners to test a driver with.
- :mod:`~backupkit.testing.lagging` and :mod:`~backupkit.testing.faults`
  hold stores that promise little and stores that fail.
"""

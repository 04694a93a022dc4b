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


"""The tasks that flows are made of.

A task makes one driver call in ``execute`` and the exact inverse of it in
``revert``. It may be executed twice, because a task that was killed runs
anew; and reverted after any end of ``execute``. No ``revert`` raises:
what it could not undo stays in the ledger, and the others still follow.
"""

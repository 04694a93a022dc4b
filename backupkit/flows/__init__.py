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


"""Flows: what a run does, step by step; the only user of TaskFlow.

A flow factory is a function with plain arguments, one module each:
:mod:`backup`, :mod:`restore`, :mod:`verify`, :mod:`delete`. Its tasks live
in :mod:`tasks` and are given their drivers by the process's
:mod:`environment`. :mod:`engine` runs a flow, and :mod:`recovery` clears
what a run left that could not undo itself.
"""

import sys

from backupkit.flows import deferred

# futurist, below TaskFlow, imports an installed eventlet by itself, which
# then is half in use. None says that there is none.
sys.modules.setdefault('eventlet', None)  # type: ignore[arg-type] # None is legal

# TaskFlow imports them to check failures that come from afar, and to look
# into URIs: a sixth of all that it imports.
deferred.import_later('taskflow.utils.schema_utils')
deferred.import_later('oslo_utils.netutils')

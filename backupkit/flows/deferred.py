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

"""Modules that are imported when they are first used, not before."""

from __future__ import annotations

import importlib.util
import sys
import types


def import_later(name: str) -> types.ModuleType:
    """Return a module that is read when an attribute of it is first asked for.

    For what a library imports by itself, and a usual run never needs. Not for
    what several threads may come to use at once.

    :raises ImportError: there is no such module
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(f'there is no module {name}')
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    # "from package import name" then takes it without looking into it.
    package, _, own = name.rpartition('.')
    setattr(sys.modules[package], own, module)
    return module

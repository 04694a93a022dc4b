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


"""A directive that draws a flow from the factory that makes it.

::

    .. flow-diagram:: backupkit.flows.backup

       {"backend": "b", "target": "t", "snapshot": true, "compare": false}

The argument names the module whose ``flow`` is drawn, the content holds
what it is called with, as JSON.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

from docutils import nodes
from docutils.parsers import rst
from sphinx import application

from backupkit.flows import diagram


class FlowDiagram(rst.Directive):
    """Draws one flow as boxes of plain text."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the drawing."""
        self.assert_has_content()
        flow = importlib.import_module(self.arguments[0]).flow
        try:
            arguments = json.loads('\n'.join(self.content))
            picture = diagram.as_picture(diagram.plan(flow, **arguments))
        except (TypeError, ValueError) as exc:
            raise self.error(f'{self.arguments[0]}: {exc}') from exc
        return [nodes.literal_block(picture, picture, language='none')]


def setup(app: application.Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive('flow-diagram', FlowDiagram)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}

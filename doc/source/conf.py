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

"""How the documentation is built."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[1] / 'extensions'))

# oslo.privsep, which the references import, takes eventlet where it can.
sys.modules['eventlet'] = None

extensions = [
    'openstackdocstheme',
    'sphinx.ext.autodoc',
    'sphinx.ext.viewcode',
    'cliff.sphinxext',
    'flow_diagram',
    'oslo_config.sphinxconfiggen',
    'oslo_config.sphinxext',
]

project = 'backupkit'
author = 'backupkit developers'
copyright = 'backupkit developers'
root_doc = 'index'
# '--full' stays '--full', in the man pages too.
smartquotes = False

# The project's pages are built from a checkout, wherever it was cloned from.
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_pdf_link = False
html_theme = 'openstackdocs'
html_theme_options = {'display_global_toc_section': False}
html_copy_source = False
pygments_style = 'native'

autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autoclass_content = 'class'

autoprogram_cliff_application = 'backupkit'
autoprogram_cliff_app_dist_name = 'backupkit'

config_generator_config_file = '../../etc/backupkit/config-generator.conf'
sample_config_basename = '_static/backupkit'

man_pages = [
    (
        'cli/backupkit',
        'backupkit',
        'safe copies of block volumes',
        [],
        1,
    ),
    (
        'admin/configuration',
        'backupkit.conf',
        'configuration of backupkit',
        [],
        5,
    ),
    (
        'cli/exit-codes',
        'backupkit-exit-codes',
        'exit codes and progress lines of backupkit',
        [],
        7,
    ),
]

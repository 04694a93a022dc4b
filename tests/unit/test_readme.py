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

import pathlib
import unittest

ROOT = pathlib.Path(__file__).parents[2]


class TestLineTest(unittest.TestCase):
    def test_when_ci_runs_then_it_is_the_line_of_the_readme(self) -> None:
        script = ROOT / '.ci' / 'run'
        line = script.read_text(encoding='utf-8').splitlines()[-1]
        readme = (ROOT / 'README.rst').read_text(encoding='utf-8')
        self.assertIn('tox', line)
        self.assertIn(line, [text.strip() for text in readme.splitlines()])

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

"""The tests; hypothesis gets its profiles here, before any test is read.

``HYPOTHESIS_PROFILE=thorough`` looks ten times longer than the default.
"""

import logging
import os

import hypothesis

# Warnings are asserted where they matter, and noise everywhere else.
# What is logged is for the tests that look for it, not for their output.
logging.getLogger().addHandler(logging.NullHandler())

_NAME = 'backupkit'

# No deadline: a test's time says more about the machine than about the code.
hypothesis.settings.register_profile(
    _NAME,
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# Where nobody looks at a failure as it happens, the same examples each time.
hypothesis.settings.register_profile(
    'ci', hypothesis.settings.get_profile(_NAME), derandomize=True
)
hypothesis.settings.register_profile(
    'thorough', hypothesis.settings.get_profile(_NAME), max_examples=1000
)
hypothesis.settings.load_profile(
    os.environ.get('HYPOTHESIS_PROFILE')
    or ('ci' if os.environ.get('CI') else _NAME)
)

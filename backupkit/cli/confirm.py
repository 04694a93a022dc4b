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

"""Asking before what cannot be taken back."""

from __future__ import annotations

import argparse
import sys

from backupkit import errors


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Give a destructive verb its ``--yes``."""
    parser.add_argument(
        '-y',
        '--yes',
        action='store_true',
        help='Do not ask. Needed where there is no terminal to answer from.',
    )


def confirm(question: str, *, yes: bool) -> None:
    """Return if the operator agrees.

    :param question: says what would be lost, without a question mark
    :param yes: the operator has agreed on the command line
    :raises errors.UsageError: nobody is there to be asked
    :raises errors.Cancelled: the operator does not agree
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise errors.UsageError(
            f'{question}: not done, for there is no terminal to ask at; '
            'give --yes'
        )
    sys.stderr.write(f'{question}. Go on? [y/N] ')
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ('y', 'yes'):
        raise errors.Cancelled('nothing was changed')

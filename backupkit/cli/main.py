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

"""The console script: what happens before and after a command.

An error of ours becomes one line on stderr and its exit code; anything
else is a fault in the program and shows its traceback.
"""

from __future__ import annotations

import gc
import os
import sys

# What is imported stays, some 110,000 objects: looking through them for
# garbage takes a tenth of the start.
gc.set_threshold(200_000, 20, 20)

# os-brick brings eventlet along, and futurist imports an installed one by
# itself; nothing here may run on it. Before anything else is imported.
sys.modules['eventlet'] = None  # type: ignore[assignment]  # makes its import fail

import atexit  # noqa: E402  # what comes above must come first
import io  # noqa: E402  # what comes above must come first
import traceback  # noqa: E402  # what comes above must come first
from typing import NoReturn  # noqa: E402  # what comes above must come first

from backupkit.cli import app as app_  # noqa: E402  # see above
from backupkit.cli import columns  # noqa: E402  # see above
from backupkit import errors  # noqa: E402  # see above

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def run() -> NoReturn:
    """Run this process's command line, and end the process.

    Taking the interpreter to pieces takes a tenth of a short command, and
    would wait for a thread that hangs in a call to a server that is gone.
    """
    code = main()
    atexit._run_exitfuncs()
    try:
        sys.stderr.flush()
    except OSError:
        # Nobody reads it: the exit code must do.
        pass
    os._exit(code)


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files need not be UTF-8: give back the bytes they are.
        sys.stdout.reconfigure(errors='surrogateescape')
    try:
        code = app_.App().run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_stdout()
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _fail('interrupted', _INTERRUPTED)
    except errors.Suspended as error:
        return _fail(f'suspended: {error}', error.exit_code)
    except errors.BackupkitError as error:
        if '--debug' in arguments:
            traceback.print_exc()
        return _fail(f'error: {error}', error.exit_code)
    except OSError as error:
        # Stdout itself, mostly: a full disk behind a redirection.
        if '--debug' in arguments:
            traceback.print_exc()
        _discard_stdout()
        return _fail(f'error: {error}', errors.BackupkitError.exit_code)


def _fail(text: str, code: int) -> int:
    line = columns.printable(' '.join(text.splitlines()))
    try:
        sys.stderr.write(f'backupkit: {line}\n')
        sys.stderr.flush()
    except OSError:
        # Nobody reads it: the exit code must do.
        pass
    return code


def _discard_stdout() -> None:
    """Keep the interpreter from writing what is left at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == '__main__':
    run()

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

"""``backupkit run``: what is or was at work."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from backupkit.cli import columns
from backupkit.cli import command
from backupkit.cli import confirm

_LISTED = (
    'id',
    'number',
    'kind',
    'state',
    'volume',
    'target',
    'host',
    'pid',
    'process',
    'started_at',
)


def _describe(run: Any, process: str) -> Mapping[str, Any]:
    volume = f'{run.backend}:{run.volume_id}' if run.volume_id else ''
    return {
        'id': run.run_id,
        'number': run.number,
        'kind': run.kind,
        'state': run.state,
        'backup_id': run.backup_id,
        'volume': volume,
        'target': run.target,
        'host': run.host,
        'pid': run.pid,
        'process': process,
        'started_at': run.started_at,
        'finished_at': run.finished_at,
        'reason': run.reason,
    }


class List(command.Lister):
    """List the runs that are on, or were interrupted.

    The process of a run is "alive"; or "gone", so that the run can be
    resumed; or "unknown", where that cannot be told on this host; or, of a
    run that has ended, empty.
    """

    examples = ('backupkit run list', 'backupkit run list --all')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--all',
            action='store_true',
            help='Show those too that have ended.',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        kit = self.shell.kit
        found = kit.list_runs(everything=parsed_args.all)
        described = [_describe(run, kit.run_process(run)) for run in found]
        return columns.rows(_LISTED, described)


class Show(command.ShowOne):
    """Show all that is recorded of a run."""

    examples = ('backupkit run show 12',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return _with_id(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        kit = self.shell.kit
        run = kit.show_run(parsed_args.run_id)
        return columns.show(_describe(run, kit.run_process(run)))


class Resume(command.ShowOne):
    """Go on with a run that was interrupted, where it was left.

    Its process was killed, its host was started anew, or it was suspended.
    What it has stored and written is not copied again. "backup create" and
    "backup restore" do this by themselves for the volume that they name.
    Where volume, snapshot or repository are not those any more with which
    the run was begun, it is undone.
    """

    examples = ('backupkit run resume 12', 'backupkit run resume 12 -f json')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return _with_id(super().get_parser(prog_name))

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        kit = self.shell.kit
        with self.shell.run_control() as control:
            run = kit.resume_run(parsed_args.run_id, control=control)
        return columns.show(_describe(run, kit.run_process(run)))


class Abort(command.ShowOne):
    """Stop a run, wherever it is, and undo what it has made.

    For runs that are suspended, or whose process or host is gone. A run
    that has committed its backup cannot be aborted any more.
    """

    examples = ('backupkit run abort 12 --yes',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = _with_id(super().get_parser(prog_name))
        confirm.add_argument(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        confirm.confirm(
            f'run {parsed_args.run_id} will be aborted and what it has made '
            'removed',
            yes=parsed_args.yes,
        )
        kit = self.shell.kit
        run = kit.abort_run(parsed_args.run_id)
        return columns.show(_describe(run, kit.run_process(run)))


def _with_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        'run_id',
        metavar='RUN',
        help='The id or the number that "run list" shows.',
    )
    return parser

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

"""``backupkit demo``: the whole story on a volume that it makes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
import time
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from backupkit.cli import command
from backupkit.cli import demo_volume
from backupkit.cli import sizes
from backupkit.copy import control as control_
from backupkit import errors

if TYPE_CHECKING:
    from backupkit import api

_DEFAULT_SIZE = '256M'
_LEAST_BYTES = 64 * 1024
_CHANGED_PERCENT = 1.0
_SEED = 1
_VOLUME = 'local:demo.img'
_CONFIGURATION = """\
[DEFAULT]
enabled_backends = local
enabled_targets = repo
state_path = {directory}/state

[backend:local]
driver = file
volumes_dir = {directory}/volumes
# Says that this is other storage than the target's. Here it is not, and
# that is well for once: without this line every backup warns of it.
storage_pool = demo

[target:repo]
driver = posix
backup_posix_path = {directory}/repository
"""

T = TypeVar('T')


class Demo(command.Command):
    """Show a full and an incremental backup, verified and restored.

    Makes a volume, backs it up, changes 1 % of it, backs it up again,
    verifies both backups by every byte, restores both and compares what
    comes back with what was there. Tells what each step cost. Removes all
    of it at the end.
    """

    examples = (
        'backupkit demo',
        'backupkit demo --dir /srv --size 4G',
        'backupkit demo --keep',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--dir',
            metavar='DIR',
            type=pathlib.Path,
            help='Work in a new directory below this one; the default is '
            'the directory for temporary files.',
        )
        parser.add_argument(
            '--size',
            dest='size_bytes',
            metavar='SIZE',
            type=sizes.parse,
            default=_DEFAULT_SIZE,
            help=f'Of the volume; the default is {_DEFAULT_SIZE}. About '
            'three times as much space is needed.',
        )
        parser.add_argument(
            '--keep',
            action='store_true',
            help='Leave everything there, to go on with it.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from backupkit import api

        if parsed_args.size_bytes < _LEAST_BYTES:
            raise errors.UsageError(
                f'--size is at least {sizes.render(_LEAST_BYTES)}'
            )
        with contextlib.ExitStack() as stack:
            directory = _directory(parsed_args.dir)
            if not parsed_args.keep:
                stack.callback(shutil.rmtree, directory, ignore_errors=True)
            config_file = _configure(directory)
            kit = stack.enter_context(api.connect([str(config_file)]))
            place = Place(directory, parsed_args.size_bytes)
            story = Story(kit, place, self.shell.run_control, self.app.stdout)
            story.tell()


def _directory(parent: pathlib.Path | None) -> pathlib.Path:
    try:
        return pathlib.Path(
            tempfile.mkdtemp(prefix='backupkit-demo-', dir=parent)
        ).resolve()
    except OSError as error:
        raise errors.UsageError(
            f'cannot make a directory in {parent}: {error.strerror}'
        ) from error


def _configure(directory: pathlib.Path) -> pathlib.Path:
    for name in ('volumes', 'repository'):
        (directory / name).mkdir()
    config_file = directory / 'backupkit.conf'
    config_file.write_text(_CONFIGURATION.format(directory=directory))
    return config_file


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where the demo takes place, and how large its volume is."""

    directory: pathlib.Path
    size_bytes: int

    def image(self, name: str) -> pathlib.Path:
        """Return the file that a volume of the demo is."""
        return self.directory / 'volumes' / name


class Story:
    """Does what a user would do, and says so."""

    def __init__(
        self,
        kit: api.Backupkit,
        place: Place,
        run_control: Callable[
            [], contextlib.AbstractContextManager[control_.Control]
        ],
        stdout: TextIO,
    ) -> None:
        self._kit = kit
        self._place = place
        self._run_control = run_control
        self._stdout = stdout
        self._costs: list[tuple[str, float, int]] = []

    def tell(self) -> None:
        """Tell it from beginning to end.

        :raises errors.Damaged: what came back is not what was there
        """
        directory = self._place.directory
        self._say(f'All of this is in {directory}')
        before = self._make()
        full = self._back_up('Full backup')
        after = self._change()
        incremental = self._back_up('Incremental backup')
        self._title('Both are read again and compared, every byte')
        self._verify(full)
        self._verify(incremental)
        self._restore('before', full, before)
        self._restore('after', incremental, after)
        self._sum_up()

    def _make(self) -> str:
        size_bytes = self._place.size_bytes
        self._title('A volume, as disks are: text, noise, copies and holes')
        image = self._place.image('demo.img')
        data_bytes = demo_volume.make(image, size_bytes, _SEED)
        digest = demo_volume.digest(image)
        self._say(f'  {_VOLUME}: {sizes.render(size_bytes)}')
        self._say(f'  written: {sizes.render(data_bytes)}, the rest is holes')
        self._say(f'  sha256: {digest}')
        return digest

    def _back_up(self, title: str) -> Any:
        self._title(title)
        self._command(f'backup create {_VOLUME}')
        with self._run_control() as control:
            row = self._timed(
                title.lower(),
                lambda: self._kit.create_backup(_VOLUME, control=control),
                lambda made: made.read_bytes,
            )
        self._say(f'  id: {row.backup_id}')
        self._say(f'  kind: {row.kind.value}')
        self._say(f'  read: {sizes.render(row.read_bytes)}')
        self._say(f'  changed: {sizes.render(row.changed_bytes)}')
        self._say(f'  stored: {sizes.render(row.stored_bytes)}')
        return row

    def _change(self) -> str:
        self._title(f'Work goes on: {_CHANGED_PERCENT:.0f} % of it changes')
        image = self._place.image('demo.img')
        changed = demo_volume.change(
            image, self._place.size_bytes, _CHANGED_PERCENT, _SEED
        )
        digest = demo_volume.digest(image)
        self._say(f'  overwritten: {sizes.render(changed)}, scattered')
        self._say(f'  sha256: {digest}')
        return digest

    def _verify(self, row: Any) -> None:
        self._command(f'backup verify {row.backup_id[:8]} --full')
        with self._run_control() as control:
            report = self._timed(
                f'verify {row.kind.value}',
                lambda: self._kit.verify_backup(
                    row.backup_id, full=True, control=control
                ),
                lambda found: found.bytes_read,
            )
        if not report.good:
            raise errors.Damaged(f'backup {row.backup_id} is damaged')
        self._say(f'  good: {report.chunks} chunks')

    def _restore(self, name: str, row: Any, expected: str) -> None:
        self._title(f'The volume as it was {name} the change comes back')
        volume = f'local:{name}.img'
        self._command(f'backup restore {row.backup_id[:8]} --new {volume}')
        with self._run_control() as control:
            self._timed(
                f'restore {row.kind.value}',
                lambda: self._kit.restore_backup(
                    row.backup_id, new=volume, control=control
                ),
                lambda result: result.size_bytes,
            )
        found = demo_volume.digest(self._place.image(f'{name}.img'))
        self._say(f'  sha256: {found}')
        if found != expected:
            raise errors.Damaged(
                f'{volume} is not what was backed up: sha256 {found} instead '
                f'of {expected}'
            )
        self._say('  equal, byte for byte')

    def _sum_up(self) -> None:
        self._title('What it cost')
        for step, seconds, size_bytes in self._costs:
            rate = size_bytes / 1e6 / seconds if seconds else 0.0
            self._say(f'  {step:<20} {seconds:7.2f} s {rate:8.0f} MB/s')
        stats = self._kit.repository_stats()
        logical, stored = stats['logical_bytes'], stats['stored_bytes']
        for what, size_bytes in (
            ('two volumes, in all', logical),
            ('of that, each piece once', stats['unique_bytes']),
            ('compressed, on the target', stored),
        ):
            self._say(f'  {what:<26} {sizes.render(size_bytes):>10}')
        self._say(f'  that is 1 byte for {logical / stored:.1f}')

    def _timed(
        self,
        step: str,
        call: Callable[[], T],
        size_bytes: Callable[[T], int] = lambda _: 0,
    ) -> T:
        began = time.monotonic()
        result = call()
        seconds = time.monotonic() - began
        self._costs.append((step, seconds, size_bytes(result)))
        return result

    def _title(self, text: str) -> None:
        self._say(f'\n{text}')

    def _command(self, text: str) -> None:
        config_file = self._place.directory / 'backupkit.conf'
        self._say(f'  $ backupkit --config-file {config_file} {text}')

    def _say(self, text: str) -> None:
        self._stdout.write(f'{text}\n')
        self._stdout.flush()

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

"""What all commands of ours share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, TYPE_CHECKING, ClassVar, cast

from cliff import command
from cliff import lister
from cliff import show

from backupkit.cli import help as help_
from backupkit import errors

if TYPE_CHECKING:
    from backupkit.cli import app as app_


class Command(command.Command):
    """A command that shows no object.

    ``examples`` are command lines, shown below the help.
    """

    examples: ClassVar[Sequence[str]] = ()
    #: What the process exits with, where the command ends in good order.
    exit_code = 0

    @property
    def shell(self) -> app_.App:
        """The program that runs this command."""
        return cast('app_.App', self.app)

    def get_epilog(self) -> str:
        """Return the examples.

        cliff's own looks up which distribution a command comes from, at
        the cost of a tenth of a second.
        """
        if not self.examples:
            return ''
        lines = '\n'.join(f'  {line}' for line in self.examples)
        return f'Examples::\n\n{lines}'

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of this command's arguments."""
        parser = super().get_parser(prog_name)
        parser.formatter_class = help_.HelpFormatter
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run it and return the exit code."""
        return super().run(parsed_args) or self.exit_code


def _no_column(wanted: str, column_names: Sequence[str]) -> errors.UsageError:
    return errors.UsageError(
        f'there is no column {wanted}; there are: {", ".join(column_names)}'
    )


class _Display(Command):
    """What showing adds."""

    def _generate_columns_and_selector(
        self,
        parsed_args: argparse.Namespace,
        column_names: Sequence[str],
    ) -> tuple[list[str], list[bool] | None]:
        try:
            chosen: tuple[list[str], list[bool] | None]
            chosen = super()._generate_columns_and_selector(  # type: ignore[misc]  # of cliff's class beside this one
                parsed_args, column_names
            )
            return chosen
        except ValueError:
            wanted = ', '.join(parsed_args.columns)
            raise _no_column(wanted, column_names) from None


class Lister(_Display, lister.Lister):
    """A command that shows many objects."""

    def produce_output(
        self,
        parsed_args: argparse.Namespace,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
    ) -> int:
        """Show them, sorted as asked; cliff takes any name of a column.

        :raises errors.UsageError: there is no such column to sort by
        """
        for wanted in parsed_args.sort_columns:
            if wanted not in column_names:
                raise _no_column(wanted, column_names)
        return super().produce_output(parsed_args, column_names, data)


class ShowOne(_Display, show.ShowOne):
    """A command that shows one object."""

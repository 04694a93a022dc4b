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


"""Flows as diagrams, drawn from their factories.

For ``--dry-run``, and for the documentation: what a task requires and
provides is read from the tasks that would run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import itertools
from typing import Any, cast

from taskflow.patterns import linear_flow
from taskflow import task as taskflow_task

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit.flows import environment


@dataclasses.dataclass(frozen=True, slots=True)
class StepPlan:
    """One task of a flow, and the values that it takes and gives.

    ``undone`` tells whether its ``revert`` does anything.
    """

    task: str
    requires: tuple[str, ...]
    provides: tuple[str, ...]
    undone: bool = False


class _Placeholders:
    """Stands for drivers where tasks are made but never run."""

    def volume_driver(self, backend: str) -> volume_.VolumeDriver:
        return cast(volume_.VolumeDriver, _Named(backend))

    def target(self, name: str) -> target_.Target:
        return cast(target_.Target, _Named(name))


@dataclasses.dataclass(frozen=True, slots=True)
class _Named:
    name: str


def plan(
    factory: Callable[..., linear_flow.Flow], **arguments: Any
) -> tuple[StepPlan, ...]:
    """Return the tasks of a flow in the order in which they run.

    No driver is loaded and no catalog opened for it.
    """
    nothing: Any = None
    env = environment.Environment(_Placeholders(), nothing, control_.Control())
    with environment.using(env):
        flow = factory(**arguments)
    return tuple(
        StepPlan(
            task.name,
            tuple(task.requires),
            tuple(task.provides),
            type(task).revert is not taskflow_task.Task.revert,
        )
        for task in flow
    )


def as_text(steps: Sequence[StepPlan]) -> str:
    """Return one line for each step, in columns."""
    width = max((len(step.task) for step in steps), default=0)
    lines = []
    for number, step in enumerate(steps, 1):
        takes = ', '.join(step.requires) or '-'
        gives = f' -> {", ".join(step.provides)}' if step.provides else ''
        lines.append(f'{number}. {step.task:{width}}  {takes}{gives}')
    return '\n'.join(lines)


def as_dot(name: str, steps: Sequence[StepPlan]) -> str:
    """Return a graph in Graphviz's language.

    Boxes are tasks in their order; dotted edges are values, from the task
    that provides one to those that require it.
    """
    lines = [f'digraph "{name}" {{', '  rankdir = LR', '  node [shape = box]']
    makers: dict[str, str] = {}
    for step in steps:
        lines.append(f'  "{step.task}"')
        for value in step.requires:
            if value in makers:
                lines.append(
                    f'  "{makers[value]}" -> "{step.task}" '
                    f'[style = dotted, label = "{value}"]'
                )
        makers.update(dict.fromkeys(step.provides, step.task))
    lines.extend(
        f'  "{before.task}" -> "{after.task}"'
        for before, after in itertools.pairwise(steps)
    )
    return '\n'.join([*lines, '}'])


def as_picture(steps: Sequence[StepPlan]) -> str:
    """Return the tasks as boxes of plain text, one below the other.

    An arrow into a box brings what the task takes, one out of it what it
    gives to those below.
    """
    width = max((len(step.task) for step in steps), default=0)
    edge = f'+{"-" * (width + 2)}+'
    lines: list[str] = []
    for step in steps:
        if lines:
            lines.append(f'{"|":>{width // 2 + 3}}')
        takes = ', '.join(sorted(step.requires))
        gives = ', '.join(step.provides)
        back = '  (undone by revert)' if step.undone else ''
        lines.append(edge)
        lines.append(f'| {step.task:{width}} | <-- {takes}')
        lines.append(f'{edge}{f" --> {gives}" if gives else ""}{back}')
    return '\n'.join(lines)

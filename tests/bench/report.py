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

"""What a step found, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import statistics

from tests.bench import process


@dataclasses.dataclass(slots=True)
class Series:
    """One contender's repetitions, and facts that do not vary.

    The name of a fact ends in its unit.
    """

    name: str
    usages: list[process.Usage] = dataclasses.field(default_factory=list)
    facts: dict[str, float] = dataclasses.field(default_factory=dict)

    def wall_seconds(self) -> float:
        """Return the median."""
        return statistics.median(each.wall_seconds for each in self.usages)

    def cpu_seconds(self) -> float:
        """Return the median."""
        return statistics.median(each.cpu_seconds for each in self.usages)

    def peak_bytes(self) -> int:
        """Return the largest of all repetitions."""
        return max(each.peak_bytes for each in self.usages)


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """A value, and the limit that it must not be above, if there is one.

    ``lowest`` and ``highest`` are those of single repetitions.
    """

    subject: str
    value: float
    lowest: float
    highest: float
    limit: float | None = None
    unit: str = ''

    @property
    def passed(self) -> bool:
        """Tell whether the limit was kept, or that there is none."""
        return self.limit is None or self.value <= self.limit


@dataclasses.dataclass(slots=True)
class StepReport:
    """The result of one step."""

    name: str
    title: str
    series: list[Series]
    checks: list[Check] = dataclasses.field(default_factory=list)


def single(subject: str, value: float, limit: float, unit: str) -> Check:
    """Return the check of a value that was measured once."""
    return Check(subject, value, value, value, limit, unit)


def ratio(
    subject: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    limit: float | None,
) -> Check:
    """Return the check of the median ratio of values of the same rounds."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return Check(
        subject=subject,
        value=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        limit=limit,
    )


def wall_ratio(ours: Series, peer: Series, limit: float | None) -> Check:
    """Return how long we take, as a multiple of a peer in the same round."""
    return ratio(
        f'time of {ours.name} / {peer.name}',
        [usage.wall_seconds for usage in ours.usages],
        [usage.wall_seconds for usage in peer.usages],
        limit,
    )


def peak_ratio(ours: Series, other: Series, limit: float) -> Check:
    """Return the check of our memory, as a multiple of another's."""
    return ratio(
        f'peak memory of {ours.name} / {other.name}',
        [usage.peak_bytes for usage in ours.usages],
        [usage.peak_bytes for usage in other.usages],
        limit,
    )


def fact_ratio(ours: Series, peer: Series, fact: str, limit: float) -> Check:
    """Return the check of a fact, as a multiple of a peer's."""
    return ratio(
        f'{fact} of {ours.name} / {peer.name}',
        [ours.facts[fact]],
        [peer.facts[fact]],
        limit,
    )

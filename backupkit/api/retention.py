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

"""Which backups of a volume are kept, by rules of time.

Days, weeks and months are those of UTC, so that every host judges alike,
whatever its time zone is and whenever its clocks are put forward. A week
begins on Monday, as ISO 8601 has it. Only periods that have a backup count:
``daily=7`` keeps one backup of each of the last seven days on which there
was one, the newest of the day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import datetime

from backupkit import errors

_Period = tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What is kept; a backup stays where any of the rules keeps it.

    ``last``, ``daily``, ``weekly`` and ``monthly`` are numbers of backups,
    of days and so on, from the newest backwards. ``within`` keeps what is
    no older than that, seen from the newest backup of the volume: one that
    is no longer backed up does not lose its history as time goes by.
    """

    last: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    within: datetime.timedelta | None = None

    def check(self) -> None:
        """Refuse rules that say nothing or cannot be meant.

        :raises errors.UsageError: it says what is wrong
        """
        values = dataclasses.astuple(self)
        if all(value is None for value in values):
            raise errors.UsageError(
                'no rule says what to keep: give at least one of last, '
                'daily, weekly, monthly and within'
            )
        numbers = (self.last, self.daily, self.weekly, self.monthly)
        if any(number is not None and number < 0 for number in numbers):
            raise errors.UsageError('a number of backups is not negative')
        if self.within is not None and self.within < datetime.timedelta():
            raise errors.UsageError('the time to keep within is not negative')


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A backup, as the rules see it.

    :ivar created_at: the moment that it is of, in ISO 8601
    """

    backup_id: str
    created_at: str
    protected: bool = False


def decide(
    points: Sequence[Point], rules: Rules
) -> dict[str, tuple[str, ...]]:
    """Return why each backup of one volume is kept; empty: it is not.

    What is protected is kept, and so is one whose time cannot be read; both
    count for the rules like any other.

    :param points: those of the same moment in the order of their making
    """
    reasons: dict[str, list[str]] = {one.backup_id: [] for one in points}
    times: dict[str, datetime.datetime] = {}
    for point in points:
        if point.protected:
            reasons[point.backup_id].append('protected')
        moment = _moment(point.created_at)
        if moment is None:
            reasons[point.backup_id].append('unknown time')
        else:
            times[point.backup_id] = moment
    # The sort is stable: of one moment, the last that was made comes first.
    newest = sorted(times, key=lambda one: times[one])[::-1]
    for name, kept in _kept(newest, times, rules):
        reasons[kept].append(name)
    return {one: tuple(found) for one, found in reasons.items()}


def _kept(
    newest: Sequence[str],
    times: dict[str, datetime.datetime],
    rules: Rules,
) -> list[tuple[str, str]]:
    """Return rule and backup wherever a rule keeps one."""
    kept = [('last', one) for one in newest[: rules.last or 0]]
    for name, number in (
        ('daily', rules.daily),
        ('weekly', rules.weekly),
        ('monthly', rules.monthly),
    ):
        firsts: dict[_Period, str] = {}
        for one in newest:
            firsts.setdefault(_PERIODS[name](times[one]), one)
        kept += [(name, one) for one in list(firsts.values())[: number or 0]]
    if newest and rules.within is not None:
        limit = times[newest[0]] - rules.within
        kept += [('within', one) for one in newest if times[one] >= limit]
    return kept


def _moment(text: str) -> datetime.datetime | None:
    """Return a time in UTC; one that names no zone is taken for that."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=datetime.UTC)
        return moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None


_PERIODS: dict[str, Callable[[datetime.datetime], _Period]] = {
    'daily': lambda moment: (moment.year, moment.month, moment.day),
    'weekly': lambda moment: tuple(moment.isocalendar())[:2],
    'monthly': lambda moment: (moment.year, moment.month),
}

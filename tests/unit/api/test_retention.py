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

"""Which backups the rules of time keep, beside a plain model of them."""

from __future__ import annotations

import datetime
import unittest

import hypothesis
from hypothesis import strategies

from backupkit.api import retention
from backupkit import errors

_BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

_numbers = strategies.none() | strategies.integers(0, 5)
_rules = strategies.builds(
    retention.Rules,
    last=_numbers,
    daily=_numbers,
    weekly=_numbers,
    monthly=_numbers,
    within=strategies.none()
    | strategies.integers(0, 24 * 70).map(
        lambda hours: datetime.timedelta(hours=hours)
    ),
)
#: Hours since the beginning, and what zone the time is written in.
_moments = strategies.lists(
    strategies.tuples(
        strategies.integers(0, 24 * 60),
        strategies.sampled_from((-11, 0, 14)),
        strategies.booleans(),
    ),
    max_size=15,
)


def _points(
    moments: list[tuple[int, int, bool]],
) -> list[retention.Point]:
    points = []
    for number, (hours, zone, protected) in enumerate(sorted(moments)):
        moment = _BEGIN + datetime.timedelta(hours=hours)
        there = datetime.timezone(datetime.timedelta(hours=zone))
        text = moment.astimezone(there).isoformat()
        points.append(retention.Point(f'b{number}', text, protected))
    return points


def _model(points: list[retention.Point], rules: retention.Rules) -> set[str]:
    """Say, one backup at a time and slowly, what is kept."""

    def moment(point: retention.Point) -> datetime.datetime:
        return datetime.datetime.fromisoformat(point.created_at).astimezone(
            datetime.UTC
        )

    def later(index: int) -> list[retention.Point]:
        """Return those that are newer; of one moment, the later made."""
        return [
            other
            for at, other in enumerate(points)
            if (moment(other), at) > (moment(points[index]), index)
        ]

    kept = set()
    for index, point in enumerate(points):
        newer = later(index)
        keep = point.protected or len(newer) < (rules.last or 0)
        for number, form in (
            (rules.daily, '%Y-%m-%d'),
            (rules.weekly, '%G-%V'),
            (rules.monthly, '%Y-%m'),
        ):
            mine = moment(point).strftime(form)
            theirs = {moment(other).strftime(form) for other in newer}
            keep |= mine not in theirs and len(theirs) < (number or 0)
        if rules.within is not None:
            newest = max(moment(other) for other in points)
            keep |= newest - moment(point) <= rules.within
        if keep:
            kept.add(point.backup_id)
    return kept


def _kept(points: list[retention.Point], rules: retention.Rules) -> set[str]:
    decided = retention.decide(points, rules)
    return {backup_id for backup_id, reasons in decided.items() if reasons}


class RulesTestCase(unittest.TestCase):
    @hypothesis.given(_moments, _rules)
    def test_with_any_history_then_it_is_as_the_model_says(
        self, moments: list[tuple[int, int, bool]], rules: retention.Rules
    ) -> None:
        points = _points(moments)
        self.assertEqual(_model(points, rules), _kept(points, rules))

    @hypothesis.given(_moments, _rules)
    def test_when_pruned_again_then_nothing_more_goes(
        self, moments: list[tuple[int, int, bool]], rules: retention.Rules
    ) -> None:
        points = _points(moments)
        kept = _kept(points, rules)
        left = [one for one in points if one.backup_id in kept]
        self.assertEqual(kept, _kept(left, rules))

    @hypothesis.given(_moments, _rules)
    def test_with_one_rule_more_then_nothing_more_goes(
        self, moments: list[tuple[int, int, bool]], rules: retention.Rules
    ) -> None:
        points = _points(moments)
        last = retention.Rules(last=rules.last)
        self.assertLessEqual(_kept(points, last), _kept(points, rules))

    def test_when_kept_then_the_reasons_are_told(self) -> None:
        points = [
            retention.Point(
                'old', '2026-03-01T10:00:00+00:00', protected=True
            ),
            retention.Point('mid', '2026-03-29T10:00:00+00:00'),
            retention.Point('new', '2026-03-30T10:00:00+00:00'),
        ]
        rules = retention.Rules(
            last=1, daily=2, within=datetime.timedelta(days=1)
        )
        self.assertEqual(
            {
                'old': ('protected',),
                'mid': ('daily', 'within'),
                'new': ('last', 'daily', 'within'),
            },
            retention.decide(points, rules),
        )

    def test_with_another_time_zone_then_the_day_is_that_of_utc(self) -> None:
        points = [
            retention.Point('first', '2026-03-30T01:00:00+02:00'),
            retention.Point('second', '2026-03-30T03:00:00+02:00'),
        ]
        # The first is of the 29th in UTC.
        rules = retention.Rules(daily=2)
        self.assertEqual({'first', 'second'}, _kept(points, rules))

    def test_when_clocks_change_then_a_day_is_a_day(self) -> None:
        # Berlin puts its clocks forward at 01:00 UTC on this day.
        points = [
            retention.Point('before', '2026-03-29T01:30:00+01:00'),
            retention.Point('after', '2026-03-29T03:30:00+02:00'),
        ]
        self.assertEqual({'after'}, _kept(points, retention.Rules(daily=5)))

    def test_when_a_week_spans_the_year_then_it_is_one(self) -> None:
        points = [
            retention.Point('december', '2026-12-31T00:00:00+00:00'),
            retention.Point('january', '2027-01-03T00:00:00+00:00'),
        ]
        self.assertEqual({'january'}, _kept(points, retention.Rules(weekly=9)))
        self.assertEqual(2, len(_kept(points, retention.Rules(monthly=9))))

    def test_when_a_time_cannot_be_read_then_it_is_kept(self) -> None:
        points = [
            retention.Point('odd', 'yesterday'),
            retention.Point('empty', ''),
            retention.Point('good', '2026-03-29T10:00:00'),
        ]
        decided = retention.decide(points, retention.Rules(last=0))
        self.assertEqual(('unknown time',), decided['odd'])
        self.assertEqual(('unknown time',), decided['empty'])
        self.assertEqual((), decided['good'])

    def test_when_rules_say_nothing_then_they_are_refused(self) -> None:
        for rules, told in (
            (retention.Rules(), 'at least one of'),
            (retention.Rules(last=-1), 'not negative'),
            (
                retention.Rules(within=datetime.timedelta(days=-1)),
                'not negative',
            ),
        ):
            with self.assertRaisesRegex(errors.UsageError, told):
                rules.check()
        retention.Rules(last=0).check()

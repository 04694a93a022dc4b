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

"""Shows reports as text and as reStructuredText."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.bench import report

_MIB = 1 << 20

_Rows = list[list[str]]


def step_text(found: report.StepReport) -> str:
    """Return a step's tables for a terminal."""
    lines = [f'{found.name}: {found.title}', '']
    lines += _columns(_series_rows(found))
    lines += ['', *(_check_line(check) for check in found.checks), '']
    return '\n'.join(lines)


def step_rst(found: report.StepReport) -> str:
    """Return a step's tables for the documentation."""
    lines = [found.title, '~' * len(found.title), '']
    lines += _list_table(_series_rows(found))
    if found.checks:
        header = ['', 'measured', 'at most', '']
        rows = [
            [
                check.subject,
                _spread(check),
                _limit(check),
                _verdict(check),
            ]
            for check in found.checks
        ]
        lines += ['', *_list_table([header, *rows])]
    return '\n'.join([*lines, ''])


def machine_rst(facts: Mapping[str, str]) -> str:
    """Return what was measured on and with for the documentation."""
    rows = [[name, value] for name, value in facts.items()]
    return '\n'.join([*_list_table([['', ''], *rows]), ''])


def _series_rows(found: report.StepReport) -> _Rows:
    facts = list(
        dict.fromkeys(fact for each in found.series for fact in each.facts)
    )
    header = ['', 'seconds', 'min-max', 'CPU s', 'peak MiB']
    rows = [header + [_title(fact) for fact in facts]]
    for each in found.series:
        told = [_fact(each, fact) for fact in facts]
        rows.append([each.name, *_usage(each), *told])
    return rows


def _usage(series: report.Series) -> list[str]:
    if not series.usages:
        return [''] * 4
    walls = [usage.wall_seconds for usage in series.usages]
    return [
        f'{series.wall_seconds():.2f}',
        f'{min(walls):.2f}-{max(walls):.2f}',
        f'{series.cpu_seconds():.2f}',
        f'{series.peak_bytes() / _MIB:.0f}',
    ]


def _title(fact: str) -> str:
    name, _, unit = fact.rpartition('_')
    shown = {'bytes': 'MiB', 'seconds': 's'}.get(unit, unit)
    return f'{name.replace("_", " ")} {shown}'


def _fact(series: report.Series, fact: str) -> str:
    if fact not in series.facts:
        return ''
    value = series.facts[fact]
    return f'{value / _MIB:.2f}' if fact.endswith('_bytes') else f'{value:.2f}'


def _check_line(check: report.Check) -> str:
    line = f'{_verdict(check):4}  {check.subject}: {_spread(check)}'
    if check.limit is not None:
        line += f', at most {_limit(check)}'
    return line


def _spread(check: report.Check) -> str:
    value = _value(check.value, check.unit)
    if check.lowest == check.highest:
        return value
    return f'{value} ({check.lowest:.2f} to {check.highest:.2f})'


def _value(value: float, unit: str) -> str:
    if unit == 'bytes':
        return f'{value / _MIB:.2f} MiB'
    return f'{value:.2f} {unit}'.strip()


def _limit(check: report.Check) -> str:
    return '' if check.limit is None else _value(check.limit, check.unit)


def _verdict(check: report.Check) -> str:
    if check.limit is None:
        return ''
    return 'pass' if check.passed else 'FAIL'


def _columns(rows: _Rows) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        name, *values = (
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths))
        )
        yield '  '.join([name, *values]).rstrip()


def _list_table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ['.. list-table::', '   :header-rows: 1', '']
    for row in rows:
        marks = ['*', *([' '] * (len(row) - 1))]
        lines += [
            f'   {mark} - {cell}'.rstrip()
            for mark, cell in zip(marks, row, strict=True)
        ]
    return lines

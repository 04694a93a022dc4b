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

"""How progress is shown."""

import io
import json
import os
import threading
import unittest
from unittest import mock

from backupkit.cli import progress
from backupkit.copy import control as control_

_MIB = 1024**2


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ProgressTest(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = _Clock()
        self.stream = io.StringIO()

    def run_of(self, mode: str, *steps: tuple[float, int]) -> str:
        """Copy 100 MiB, by steps of (seconds, MiB) since the one before."""
        with progress.reporting(mode, self.stream, self.clock) as report:
            control = control_.Control(report)
            control.start('copy', 100 * _MIB)
            for seconds, mib in steps:
                self.clock.now += seconds
                control.advance(mib * _MIB, mib * _MIB // 2, mib)
        return self.stream.getvalue()

    def test_when_json_is_asked_for_then_each_line_is_an_object(self) -> None:
        lines = self.run_of('json', (2.0, 20), (2.0, 20)).splitlines()
        self.assertEqual(3, len(lines))
        self.assertEqual(
            {
                'event': 'progress',
                'step': 'copy',
                'done_bytes': 20 * _MIB,
                'total_bytes': 100 * _MIB,
                'read_bytes': 10 * _MIB,
                'stored_bytes': 20,
                'elapsed_seconds': 2.0,
                'rate_bytes_per_second': 10.0 * _MIB,
                'percent': 20.0,
                'eta_seconds': 8.0,
                'waiting_seconds': 0.0,
            },
            json.loads(lines[1]),
        )

    def test_when_steps_are_fast_then_json_comes_once_a_second(self) -> None:
        lines = self.run_of('json', *[(0.1, 1)] * 25).splitlines()
        done = [json.loads(line)['done_bytes'] // _MIB for line in lines]
        self.assertEqual([0, 10, 20, 25], done)

    def test_when_the_end_was_shown_then_it_is_not_shown_again(self) -> None:
        lines = self.run_of('json', (1.5, 100)).splitlines()
        self.assertEqual(2, len(lines))
        self.assertEqual(100.0, json.loads(lines[1])['percent'])

    def test_when_the_total_is_unknown_then_no_end_is_told(self) -> None:
        with progress.reporting('json', self.stream, self.clock) as report:
            control = control_.Control(report)
            control.start('list')
        line = json.loads(self.stream.getvalue())
        self.assertIsNone(line['percent'])
        self.assertIsNone(line['eta_seconds'])

    def test_when_a_step_begins_then_the_last_is_finished_first(self) -> None:
        with progress.reporting('json', self.stream, self.clock) as report:
            control = control_.Control(report)
            control.start('copy', 10)
            control.advance(10)
            self.clock.now += 5
            control.start('check', 20)
        lines = [
            json.loads(line) for line in self.stream.getvalue().splitlines()
        ]
        self.assertEqual(
            [('copy', 0), ('copy', 10), ('check', 0)],
            [(line['step'], line['done_bytes']) for line in lines],
        )
        self.assertEqual(0.0, lines[2]['elapsed_seconds'])

    def test_when_a_step_comes_again_then_it_starts_anew(self) -> None:
        with progress.reporting('json', self.stream, self.clock) as report:
            control = control_.Control(report)
            for _ in range(2):
                control.start('copy', 10)
                self.clock.now += 5
                control.advance(10)
        lines = self.stream.getvalue().splitlines()
        self.assertEqual(
            [0.0, 5.0, 0.0, 5.0],
            [json.loads(line)['elapsed_seconds'] for line in lines],
        )

    def test_when_a_thread_is_late_then_nothing_goes_backwards(self) -> None:
        with progress.reporting('json', self.stream, self.clock) as report:
            assert report is not None
            for done in (0, 30, 20, 40):
                self.clock.now += 2
                report(control_.Progress('copy', done, 100))
        lines = self.stream.getvalue().splitlines()
        self.assertEqual(
            [0, 30, 40], [json.loads(line)['done_bytes'] for line in lines]
        )

    def test_when_in_a_log_then_one_line_comes_an_interval(self) -> None:
        text = self.run_of('line', (10.0, 10), (5.0, 5), (5.0, 5))
        self.assertEqual(
            'copy: 10.0 % of 100.0 MiB, 1.0 MiB/s, 0:01:30 left\n'
            'copy: 20.0 % of 100.0 MiB, 1.0 MiB/s, 0:01:20 left\n',
            text,
        )

    def test_when_a_step_is_short_then_a_log_does_not_hear_of_it(
        self,
    ) -> None:
        self.assertEqual('', self.run_of('line', (1.0, 50), (1.0, 50)))

    def test_when_the_total_is_unknown_then_a_log_tells_the_bytes(
        self,
    ) -> None:
        with progress.reporting('line', self.stream, self.clock) as report:
            control = control_.Control(report)
            control.start('read')
            self.clock.now += 10
            control.advance(20 * _MIB)
        self.assertEqual('read: 20.0 MiB, 2.0 MiB/s\n', self.stream.getvalue())

    def test_when_a_step_counts_things_then_they_are_no_bytes(self) -> None:
        with progress.reporting('line', self.stream, self.clock) as report:
            control = control_.Control(report)
            control.start('validate', 100)
            self.clock.now += 10
            control.advance(20)
        self.assertEqual(
            'validate: 20 of 100, 0:00:40 left\n', self.stream.getvalue()
        )

    def beat(self, mode: str, step: str, *seconds: float) -> str:
        """Begin a step, and let it wait so long from beat to beat."""
        with progress.reporting(mode, self.stream, self.clock) as report:
            assert report is not None
            control = control_.Control(report)
            control.start(step, 100 * _MIB if step == 'copy' else 0)
            if step == 'copy':
                self.clock.now += 10
                control.advance(10 * _MIB)
            for pause in seconds:
                self.clock.now += pause
                report.beat()
        return self.stream.getvalue()

    def test_when_nothing_moves_then_a_log_tells_that_it_waits(self) -> None:
        text = self.beat('line', 'copy', 6.0, 4.0, 9.0, 1.0)
        self.assertEqual(
            'copy: 10.0 % of 100.0 MiB, 1.0 MiB/s, 0:01:30 left\n'
            'copy: 10.0 % of 100.0 MiB, 512.0 KiB/s, waiting for 0:00:10, '
            '0:03:00 left\n'
            'copy: 10.0 % of 100.0 MiB, 341.3 KiB/s, waiting for 0:00:20, '
            '0:04:30 left\n',
            text,
        )

    def test_when_a_step_counts_nothing_then_it_tells_that_it_waits(
        self,
    ) -> None:
        self.assertEqual(
            'snapshot: waiting for 0:00:10\n',
            self.beat('line', 'snapshot', 5.0, 5.0),
        )

    def test_when_nothing_moves_then_json_tells_how_long(self) -> None:
        lines = self.beat('json', 'copy', 0.5, 1.0, 1.0).splitlines()
        waited = [json.loads(line)['waiting_seconds'] for line in lines]
        self.assertEqual([0.0, 0.0, 1.5, 2.5], waited)

    def test_when_it_beats_then_a_thread_does_until_the_end(self) -> None:
        reporter = mock.create_autospec(progress.Reporter, instance=True)
        beaten = threading.Event()
        reporter.beat.side_effect = beaten.set
        with (
            mock.patch.object(progress, 'BEAT_SECONDS', 0.001),
            progress.beating(reporter),
        ):
            self.assertTrue(beaten.wait(60))
        count = reporter.beat.call_count
        names = [thread.name for thread in threading.enumerate()]
        self.assertNotIn('progress', names)
        self.assertEqual(count, reporter.beat.call_count)

    def test_when_nothing_is_reported_then_nothing_beats(self) -> None:
        with progress.beating(None):
            names = [thread.name for thread in threading.enumerate()]
            self.assertNotIn('progress', names)

    def test_when_none_is_asked_for_then_nothing_is_reported(self) -> None:
        with progress.reporting('none', self.stream, self.clock) as report:
            self.assertIsNone(report)

    def test_when_on_a_terminal_then_a_bar_is_drawn(self) -> None:
        self.stream = _Terminal()
        with mock.patch.dict(os.environ, {'TERM': 'xterm', 'COLUMNS': '120'}):
            text = self.run_of('auto', (1.0, 50), (1.0, 50))
        self.assertIn('copy', text)
        self.assertIn('100.0 % of 100.0 MiB, 50.0 MiB/s', text)
        self.assertTrue(text.endswith('\x1b[2K'), 'the bar is taken away')

    def test_when_the_terminal_is_dumb_then_lines_are_written(self) -> None:
        self.stream = _Terminal()
        with mock.patch.dict(os.environ, {'TERM': 'dumb'}):
            text = self.run_of('auto', (10.0, 10))
        self.assertNotIn('\x1b', text)

    def test_when_there_is_no_terminal_then_lines_are_written(self) -> None:
        self.assertTrue(self.run_of('auto', (10.0, 10)).startswith('copy: '))

    def test_when_the_reader_has_gone_then_the_run_goes_on(self) -> None:
        for error in (BrokenPipeError(), ValueError('closed')):
            stream = mock.create_autospec(io.StringIO, instance=True)
            stream.write.side_effect = error
            with progress.reporting('json', stream, self.clock) as report:
                control = control_.Control(report)
                control.start('copy', 2)
                self.clock.now += 5
                control.advance(1)
            stream.write.assert_called_once()

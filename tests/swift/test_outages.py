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

"""Backups in whose middle the cluster, or a part of it, goes away."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any
from unittest import mock

from backupkit import api
from backupkit.copy import control
from backupkit import errors
from backupkit import model
from backupkit_plugins.targets.swift import store
from tests.functional import stand as functional
from tests.swift import cloud
from tests.swift import place
from tests.swift import stand
from tests.swift import weather as weather_

_MIB = 1024**2
_SIZE = 8 * _MIB
_VOLUME = 'local:db01'
#: Puts of a backup before it has put some of its packs, but not all.
_MIDDLE = 5


class OutageCase(functional.Stand):
    """Base class: a volume, and a backup that meets something."""

    #: On a busy machine a server takes a while to start.
    options = 'retry_deadline_seconds = 600\ntimeout_seconds = 120\n'

    def setUp(self) -> None:
        self.cloud = cloud.cloud()
        self.weather = stand.weather()
        self.container = stand.container()
        self.addCleanup(self.cloud.mend)
        super().setUp()
        self.digest_before = self.fill('db01', 1, _SIZE)
        place.write(
            self.root, self.container, self.weather.auth_url, self.options
        )

    def in_the_middle(self, action: Callable[[], None]) -> None:
        """Do something when some packs are there."""
        self.weather.after(self.container, _MIDDLE, action, weather_.Verb.PUT)

    def assert_good(self, kit: api.Backupkit, backup_id: str) -> None:
        """Check that a backup is what the volume was."""
        self.assert_verified(kit, {backup_id}, full=True)
        self.assertEqual(self.digest_before, self.restored(kit, backup_id))
        self.assert_nothing_left(kit)

    def refused(self, least: int = 500) -> int:
        """Return how many requests the cluster itself did not serve."""
        return sum(
            count
            for (container, status), count in self.weather.statuses.items()
            if container == self.container and status >= least
        )


class LostServerTest(OutageCase):
    def test_backup_when_the_object_server_restarts_then_it_finishes(
        self,
    ) -> None:
        def lose() -> None:
            self.cloud.kill('object')
            # This request and the next meet that; then it comes back.
            self.weather.after(self.container, 2, revive)

        def revive() -> None:
            self.cloud.revive('object')
            revived.set()

        revived = threading.Event()
        with self.connect() as kit:
            self.in_the_middle(lose)
            row = kit.create_backup(_VOLUME)
            self.assertTrue(revived.is_set())
            self.assertGreater(self.refused(), 0)
            self.assert_good(kit, row.backup_id)

    def test_restore_when_the_object_server_restarts_then_it_finishes(
        self,
    ) -> None:
        def lose() -> None:
            self.cloud.kill('object')
            self.weather.after(
                self.container, 2, lambda: self.cloud.revive('object')
            )

        with self.connect() as kit:
            row = kit.create_backup(_VOLUME)
            before = self.refused()
            self.weather.after(self.container, 3, lose, weather_.Verb.GET)
            digest = self.restored(kit, row.backup_id)
        self.assertEqual(self.digest_before, digest)
        self.assertGreater(self.refused(), before)

    def test_backup_when_the_proxy_restarts_then_it_logs_in_again(
        self,
    ) -> None:
        # Its tokens go with it, so all that were given out end here.
        def restart() -> None:
            self.cloud.kill('proxy')
            self.cloud.revive('proxy')

        with self.connect() as kit:
            self.in_the_middle(restart)
            row = kit.create_backup(_VOLUME)
            self.assertGreater(self.weather.statuses[self.container, 401], 0)
            self.assert_good(kit, row.backup_id)


class SilenceTest(OutageCase):
    #: Long enough for all that is served, on a busy machine too.
    options = 'retry_deadline_seconds = 12\ntimeout_seconds = 8\n'

    def test_backup_when_the_cluster_is_silent_then_it_is_suspended(
        self,
    ) -> None:
        def fall_silent() -> None:
            self.cloud.pause()
            silent.set()

        silent = threading.Event()
        self.addCleanup(self.cloud.resume)
        with self.connect() as kit:
            self.in_the_middle(fall_silent)
            with self.assertRaises(errors.Suspended) as raised:
                kit.create_backup(_VOLUME)
            self.assertIn('repo', str(raised.exception))
            self.assertTrue(silent.is_set())
            (run,) = kit.list_runs()
            self.assertEqual(set(), self.good(kit))
            self.cloud.resume()
        # With the patience that a busy machine needs.
        place.write(self.root, self.container, self.weather.auth_url)
        with self.connect() as kit:
            kit.abort_run(run.run_id)
            row = kit.create_backup(_VOLUME)
            kit.collect_garbage()
            self.assert_good(kit, row.backup_id)
            self.assertEqual({row.backup_id}, self.good(kit))


class LagTest(OutageCase):
    def test_rebuild_when_listings_lag_then_a_later_one_finds_all(
        self,
    ) -> None:
        with self.connect() as kit:
            rows = [kit.create_backup(_VOLUME) for _ in range(2)]
        for path in self.root.glob('catalog.sqlite*'):
            path.unlink()
        self.weather.lag(self.container, 3600)
        with self.connect() as kit:
            self.assertEqual(0, kit.rebuild_catalog().found)
            self.assertEqual(set(), self.good(kit))
            self.weather.lag(self.container, 0)
            self.assertEqual(2, kit.rebuild_catalog().found)
            made = {row.backup_id for row in rows}
            self.assertEqual(made, self.good(kit))
            self.assert_verified(kit, made, full=True)


class FlightTest(OutageCase):
    """What is on its way, and what has arrived."""

    options = 'connections = 8\ncodec = none\n'

    def test_backup_when_it_is_watched_then_it_tells_what_arrived(
        self,
    ) -> None:
        ahead: list[tuple[int, int]] = []

        def report(progress: control.Progress) -> None:
            arrived = self.weather.acknowledged_bytes[self.container]
            if progress.stored_bytes > arrived:
                ahead.append((progress.stored_bytes, arrived))
            told.append(progress.stored_bytes)

        told: list[int] = []
        with self.connect() as kit:
            row = kit.create_backup(_VOLUME, control=control.Control(report))
        self.assertEqual([], ahead)
        self.assertGreater(max(told), _SIZE)
        self.assertGreater(len(set(told)), _SIZE // _MIB - 2)
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)

    def test_backup_when_there_are_many_connections_then_memory_bounds(
        self,
    ) -> None:
        flight = _Flight()
        budget = 32 * _MIB
        self.fill('db01', 2, 48 * _MIB)
        path = self.root / 'backupkit.conf'
        text = path.read_text().replace(
            '[DEFAULT]\n', f'[DEFAULT]\nmax_memory_bytes = {budget}\n'
        )
        # One pack for each connection would be twice of it.
        text = text.replace('= 1048576', '= 4194304')
        path.write_text(text.replace('connections = 8', 'connections = 16'))
        with self.connect() as kit, flight.watched():
            kit.create_backup(_VOLUME)
        self.assertGreater(flight.total, 48 * _MIB)
        self.assertGreater(flight.most, 5 * _MIB)
        self.assertLessEqual(flight.most, budget)


class _Flight:
    """Counts the bytes that were handed to puts and are not there yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.total = 0

    def watched(self) -> Any:
        """Count in a block."""
        put = store.SwiftStore.put

        def counted(opened: store.SwiftStore, name: str, parts: Any) -> None:
            size = sum(memoryview(part).nbytes for part in parts)
            self._add(size)
            try:
                put(opened, name, parts)
            finally:
                self._add(-size)

        return mock.patch.object(store.SwiftStore, 'put', counted)

    def _add(self, size: int) -> None:
        with self._lock:
            self._now += size
            self.most = max(self.most, self._now)
            self.total += max(0, size)

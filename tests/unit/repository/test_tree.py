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

"""The map of a volume is a list of references, however it is built."""

from __future__ import annotations

import hashlib
import random
import struct
import threading
import unittest
from unittest import mock

import hypothesis
from hypothesis import strategies

from backupkit import errors
from backupkit.repository import tree

CHUNK = 4096


class Nodes:
    """Keeps nodes by their digests."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.fetched = 0

    def store(self, node: bytes) -> bytes:
        """Keep a node."""
        key = hashlib.sha256(node).digest()
        self.kept[key] = node
        return key

    def fetch(self, key: bytes, length: int) -> bytes:
        """Return a node, or tell that it is gone."""
        self.fetched += 1
        if key not in self.kept:
            raise errors.Damaged('a node is gone')
        assert len(self.kept[key]) == length
        return self.kept[key]


def stored_ref(geometry: tree.Geometry, chunk: int, tag: int) -> bytes:
    """Return a reference of a stored chunk."""
    key = hashlib.sha256(b'%d %d' % (chunk, tag)).digest()
    return tree.REF.pack(tree.STORED, geometry.chunk_length(chunk), key)


class MapCase(unittest.TestCase):
    """Maps with a small fan-out, so that they have many levels."""

    def setUp(self) -> None:
        super().setUp()
        for name, value in (
            ('FAN_OUT', 4),
            ('NODE_BYTES', 4 * tree.REF.size),
            ('_ZERO_NODE', tree.ZERO_REF * 4),
        ):
            patch = mock.patch.object(tree, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        self.nodes = Nodes()

    def build(
        self, geometry: tree.Geometry, refs: list[bytes], order: random.Random
    ) -> bytes:
        """Return the root of a map that was given its pieces in any order."""
        builder = tree.MapBuilder(geometry, self.nodes.store)
        pieces = []
        at = 0
        while at < len(refs):
            count = order.randint(1, min(11, len(refs) - at))
            pieces.append((at, count))
            at += count
        order.shuffle(pieces)
        for at, count in pieces:
            part = refs[at : at + count]
            if all(ref == tree.ZERO_REF for ref in part):
                builder.set_zero(at, count)
            else:
                builder.set(at, b''.join(part))
        return builder.finish()

    def read(self, geometry: tree.Geometry, root: bytes) -> list[bytes]:
        """Return all references of a map, from its leaves."""
        reader = tree.MapReader(geometry, root, self.nodes.fetch)
        refs = []
        for leaf in range(geometry.leaves):
            node = reader.leaf(leaf)
            count = geometry.leaf_chunks(leaf)
            refs += (
                [tree.ZERO_REF] * count
                if node is None
                else [node[at : at + 37] for at in range(0, len(node), 37)]
            )
        return refs

    def walk(self, geometry: tree.Geometry, root: bytes) -> list[bytes]:
        """Return all references of a map, from its spans."""
        reader = tree.MapReader(geometry, root, self.nodes.fetch)
        refs: list[bytes] = []
        spans = list(reader.walk())
        self.assertEqual(geometry.leaves, sum(span.leaves for span in spans))
        for span in spans:
            self.assertEqual(span.first * tree.FAN_OUT, len(refs))
            if span.error:
                raise span.error
            if span.node is None:
                end = min(
                    geometry.chunks, (span.first + span.leaves) * tree.FAN_OUT
                )
                refs += [tree.ZERO_REF] * (end - len(refs))
            else:
                self.assertEqual(1, span.leaves)
                refs += [
                    ref for (ref,) in struct.iter_unpack('37s', span.node)
                ]
        return refs


class TestModel(MapCase):
    @hypothesis.given(
        chunks=strategies.integers(0, 150),
        short=strategies.integers(0, CHUNK - 1),
        density=strategies.sampled_from([0.0, 0.02, 0.3, 1.0]),
        order=strategies.randoms(use_true_random=False),
    )
    def test_when_built_in_any_order_then_it_reads_as_the_list(
        self, chunks: int, short: int, density: float, order: random.Random
    ) -> None:
        size = max(0, chunks * CHUNK - short)
        geometry = tree.Geometry(size, CHUNK)
        refs = [
            stored_ref(geometry, at, 0)
            if order.random() < density
            else tree.ZERO_REF
            for at in range(geometry.chunks)
        ]
        root = self.build(geometry, refs, order)
        self.assertEqual(refs, self.read(geometry, root))
        self.assertEqual(refs, self.walk(geometry, root))
        again = self.build(geometry, refs, order)
        self.assertEqual(root, again)
        if not any(ref[0] for ref in refs):
            self.assertEqual(tree.ZERO_REF, root)

    @hypothesis.given(
        chunks=strategies.integers(1, 150),
        changed=strategies.lists(strategies.integers(0, 149), max_size=4),
        order=strategies.randoms(use_true_random=False),
    )
    def test_when_little_changes_then_few_nodes_are_new(
        self, chunks: int, changed: list[int], order: random.Random
    ) -> None:
        geometry = tree.Geometry(chunks * CHUNK, CHUNK)
        refs = [stored_ref(geometry, at, 0) for at in range(chunks)]
        self.build(geometry, refs, order)
        before = set(self.nodes.kept)
        for at in changed:
            refs[at % chunks] = stored_ref(geometry, at % chunks, 1)
        root = self.build(geometry, refs, order)
        new = set(self.nodes.kept) - before
        self.assertLessEqual(len(new), len(set(changed)) * geometry.levels)
        self.assertEqual(refs, self.read(geometry, root))

    @hypothesis.given(order=strategies.randoms(use_true_random=False))
    def test_when_leaves_are_taken_over_then_the_map_is_the_same(
        self, order: random.Random
    ) -> None:
        geometry = tree.Geometry(83 * CHUNK + 1, CHUNK)
        refs = [
            stored_ref(geometry, at, 0)
            if order.random() < 0.3
            else tree.ZERO_REF
            for at in range(geometry.chunks)
        ]
        root = self.build(geometry, refs, order)
        parent = tree.MapReader(geometry, root, self.nodes.fetch)
        builder = tree.MapBuilder(geometry, self.nodes.store)
        for leaf in order.sample(range(geometry.leaves), geometry.leaves):
            builder.set_leaf(leaf, parent.leaf_ref(leaf))
        self.assertEqual(root, builder.finish())


class TestBuilding(MapCase):
    def test_when_a_chunk_is_missing_then_it_is_not_finished(self) -> None:
        geometry = tree.Geometry(9 * CHUNK, CHUNK)
        builder = tree.MapBuilder(geometry, self.nodes.store)
        builder.set_zero(0, 5)
        builder.set(6, tree.ZERO_REF * 3)
        with self.assertRaisesRegex(errors.BackupkitError, 'gaps'):
            builder.finish()

    def test_when_threads_set_chunks_then_nothing_is_lost(self) -> None:
        geometry = tree.Geometry(2000 * CHUNK, CHUNK)
        refs = [stored_ref(geometry, at, 0) for at in range(2000)]
        builder = tree.MapBuilder(geometry, self.nodes.store)
        barrier = threading.Barrier(4)

        def work(first: int) -> None:
            barrier.wait()
            for at in range(first, 2000, 4):
                builder.set(at, refs[at])

        workers = [
            threading.Thread(target=work, args=(at,)) for at in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(refs, self.read(geometry, builder.finish()))


class TestDamage(MapCase):
    def test_when_a_node_is_gone_then_only_what_is_below_is_lost(self) -> None:
        geometry = tree.Geometry(256 * CHUNK, CHUNK)
        refs = [stored_ref(geometry, at, 0) for at in range(256)]
        root = self.build(geometry, refs, random.Random(0))
        reader = tree.MapReader(geometry, root, self.nodes.fetch)
        above = self.nodes.kept[tree.REF.unpack(root)[2]]
        _, _, key = tree.REF.unpack_from(above, tree.REF.size)
        del self.nodes.kept[key]
        self.nodes.fetched = 0
        spans = list(reader.walk())
        lost = [span for span in spans if span.error]
        self.assertEqual([(16, 16)], [(one.first, one.leaves) for one in lost])
        self.assertEqual(64, sum(span.leaves for span in spans))
        self.assertLess(self.nodes.fetched, 70)
        with self.assertRaises(errors.Damaged):
            reader.leaf(20)
        self.assertIsNotNone(reader.leaf(15))

    def test_when_leaves_are_read_in_turn_then_little_is_kept(self) -> None:
        geometry = tree.Geometry(1024 * CHUNK, CHUNK)
        refs = [stored_ref(geometry, at, 0) for at in range(1024)]
        root = self.build(geometry, refs, random.Random(0))
        reader = tree.MapReader(geometry, root, self.nodes.fetch)
        for leaf in range(geometry.leaves):
            reader.leaf(leaf)
            self.assertLessEqual(len(reader._path), 5 * geometry.levels)


class TestGeometry(unittest.TestCase):
    def test_when_sizes_meet_borders_then_the_shape_is_right(self) -> None:
        fan = tree.FAN_OUT
        for size, chunks, leaves, levels in (
            (0, 0, 0, 1),
            (1, 1, 1, 1),
            (fan * CHUNK, fan, 1, 1),
            (fan * CHUNK + 1, fan + 1, 2, 2),
            (fan * fan * CHUNK, fan * fan, fan, 2),
            (fan * fan * CHUNK + 1, fan * fan + 1, fan + 1, 3),
            (1 << 60, 1 << 48, 1 << 36, 4),
        ):
            geometry = tree.Geometry(size, CHUNK)
            self.assertEqual(
                (chunks, leaves, levels),
                (geometry.chunks, geometry.leaves, geometry.levels),
            )
            if chunks:
                last = geometry.chunk_length(chunks - 1)
                self.assertEqual(size, (chunks - 1) * CHUNK + last)

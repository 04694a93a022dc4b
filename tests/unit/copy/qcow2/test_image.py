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

"""qcow2 images read and written through a real QEMU."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import dataclasses
import os
import pathlib
import random
import tempfile
import threading
import unittest
from unittest import mock

from backupkit.copy import control
from backupkit.copy import interface
from backupkit.copy.nbd import client
from backupkit.copy import opening
from backupkit.copy import pipeline
from backupkit.copy.qcow2 import changes
from backupkit.copy.qcow2 import image
from backupkit.copy.qcow2 import places
from backupkit.copy.qcow2 import server
from backupkit.copy import qemu
from backupkit import errors
from backupkit import model

DATA, ZERO, SAME = model.ExtentKind

SIZE = (9 << 20) + 512
CLUSTER = 65536


class Qcow2TestCase(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name)
        self.draw = random.Random(7)

    def img(self, *arguments: str) -> str:
        return qemu.run('qemu-img', *arguments, directory=str(self.root))

    def make(
        self, name: str, below: str = '', **options: str
    ) -> model.Attachment:
        """Make an image, above another one or not, and attach it."""
        more = [f'-o{key}={value}' for key, value in options.items()]
        links = [model.Link(name, 'qcow2')]
        if below:
            more += ['-b', below, '-F', 'qcow2']
            links.append(model.Link(below, 'qcow2'))
        self.img('create', '-q', '-f', 'qcow2', *more, name, str(SIZE))
        path = str(self.root / name)
        return model.Attachment(path, SIZE, 'qcow2', chain=tuple(links))

    def raw(self, name: str, content: bytes = b'') -> model.Attachment:
        path = self.root / name
        path.write_bytes(content or bytes(SIZE))
        return model.Attachment(str(path), SIZE)

    def write(
        self, attachment: model.Attachment, *pieces: tuple[int, bytes]
    ) -> None:
        writer = opening.open_writer(attachment, SIZE, reads_zero=False)
        with contextlib.closing(writer):
            for offset, content in pieces:
                writer.write(offset, [bytearray(content)])
            writer.finish()

    def read(self, attachment: model.Attachment) -> bytes:
        block = bytearray(SIZE)
        with contextlib.closing(opening.open_reader(attachment)) as reader:
            reader.read_into(0, [block])
        return bytes(block)

    def content(self) -> bytearray:
        """Return bytes of a volume, some of them zeros."""
        content = bytearray(SIZE)
        for _ in range(12):
            length = self.draw.randrange(1, 300_000)
            offset = self.draw.randrange(SIZE - length)
            content[offset : offset + length] = self.draw.randbytes(length)
        content[-700:] = self.draw.randbytes(700)
        return content

    def copy(
        self,
        source: model.Attachment,
        destination: model.Attachment,
        *,
        reads_zero: bool = False,
        threads: int = 3,
    ) -> None:
        reader = opening.open_reader(source)
        writer = opening.open_writer(destination, SIZE, reads_zero=reads_zero)
        with contextlib.closing(reader), contextlib.closing(writer):
            pipeline.copy(
                reader,
                writer,
                control.Control(),
                block_bytes=1 << 16,
                threads=threads,
            )
            writer.finish()

    def kinds(self, reader: interface.Reader) -> list[tuple[int, int, str]]:
        with contextlib.closing(reader):
            return [(e.offset, e.length, e.kind) for e in reader.extents()]

    def assert_same_image(self, one: str, other: str) -> None:
        formats = ['qcow2' if '.qcow2' in n else 'raw' for n in (one, other)]
        self.img('compare', '-f', formats[0], '-F', formats[1], one, other)
        for name, kind in zip((one, other), formats, strict=True):
            if kind == 'qcow2':
                self.img('check', '-q', '-f', 'qcow2', name)


class CopyTest(Qcow2TestCase):
    def test_when_raw_goes_there_and_back_then_it_is_the_same(self) -> None:
        content = bytes(self.content())
        source = self.raw('source', content)
        layered = self.make('one.qcow2')
        self.copy(source, layered, reads_zero=True)
        self.assert_same_image('source', 'one.qcow2')
        back = self.raw('back', b'x' * SIZE)
        self.copy(layered, back)
        self.assertEqual(content, (self.root / 'back').read_bytes())

    def test_when_over_other_data_then_zeros_are_written(self) -> None:
        content = bytes(self.content())
        for name, options in (
            ('old.qcow2', {'compat': '0.10'}),
            ('new.qcow2', {}),
        ):
            source = self.make(f'source-{name}')
            self.write(source, (0, content))
            destination = self.make(name, **options)
            self.write(destination, (0, b'x' * SIZE))
            self.copy(source, destination)
            self.assert_same_image(f'source-{name}', name)

    def test_when_there_are_layers_then_all_are_read(self) -> None:
        base, content = self.make('base.qcow2'), self.content()
        self.write(base, (0, bytes(content)))
        top = self.make('top.qcow2', below='base.qcow2')
        content[70_000:80_000] = b'y' * 10_000
        self.write(top, (70_000, b'y' * 10_000))
        self.assertEqual(bytes(content), self.read(top))

    def test_when_nothing_is_stored_then_nothing_is_read(self) -> None:
        source = self.make('source.qcow2')
        self.write(source, (CLUSTER, b'x' * CLUSTER))
        self.assertEqual(
            [
                (0, CLUSTER, ZERO),
                (CLUSTER, CLUSTER, DATA),
                (2 * CLUSTER, SIZE - 2 * CLUSTER, ZERO),
            ],
            self.kinds(opening.open_reader(source)),
        )

    def test_when_zeros_are_taken_then_the_clusters_are_free(self) -> None:
        made = self.make('made.qcow2')
        self.write(made, (0, b'x' * SIZE))
        full = (self.root / 'made.qcow2').stat().st_blocks
        writer = opening.open_writer(made, SIZE, reads_zero=False)
        with contextlib.closing(writer):
            writer.zero(0, SIZE)
            writer.finish()
            writer.finish()
        self.assertEqual(bytes(SIZE), self.read(made))
        self.assertLess((self.root / 'made.qcow2').stat().st_blocks, full / 2)

    def test_when_many_threads_read_then_each_gets_its_own(self) -> None:
        source, content = self.make('source.qcow2'), self.content()
        self.write(source, (0, bytes(content)))
        wrong = []
        with contextlib.closing(opening.open_reader(source)) as reader:

            def check(seed: int) -> None:
                draw = random.Random(seed)
                for _ in range(30):
                    length = draw.randrange(1, 200_000)
                    offset = draw.randrange(SIZE - length)
                    block = bytearray(length)
                    reader.read_into(offset, [block])
                    if block != content[offset : offset + length]:
                        wrong.append(offset)

            threads = [
                threading.Thread(target=check, args=(seed,))
                for seed in range(6)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual([], wrong)


class PlacesTest(Qcow2TestCase):
    """What is read past QEMU, and what is not."""

    def setUp(self) -> None:
        super().setUp()
        patcher = mock.patch.object(places, 'PAYING_BYTES', 0)
        patcher.start()
        self.addCleanup(patcher.stop)

    def test_when_little_is_read_then_qemu_reads_it(self) -> None:
        made, content = self.make('made.qcow2'), self.draw.randbytes(SIZE)
        self.write(made, (0, content))
        with mock.patch.object(places, 'PAYING_BYTES', SIZE):
            self.assertEqual((content, SIZE), self.read_of(made))

    def read_of(self, attachment: model.Attachment) -> tuple[bytes, int]:
        """Return the bytes, and how many of them QEMU was asked for."""
        asked = []
        read_into = client.Connection.read_into

        def counted(
            connection: client.Connection,
            offset: int,
            blocks: Sequence[client.Block],
        ) -> None:
            asked.append(sum(map(len, blocks)))
            read_into(connection, offset, blocks)

        with mock.patch.object(
            client.Connection, 'read_into', autospec=True, side_effect=counted
        ):
            return self.read(attachment), sum(asked)

    def test_when_it_lies_plain_then_it_is_read_there(self) -> None:
        made, content = self.make('made.qcow2'), self.draw.randbytes(SIZE)
        self.write(made, (0, content))
        self.assertEqual((content, 0), self.read_of(made))

    def test_when_there_are_windows_then_each_is_asked_for(self) -> None:
        made, content = self.make('made.qcow2'), bytes(self.content())
        self.write(made, (0, content))
        with mock.patch.object(places, 'WINDOW_BYTES', 1 << 20):
            self.assertEqual(content, self.read(made))

    def test_when_compressed_then_qemu_reads_it(self) -> None:
        content = bytes(range(256)) * (SIZE // 256)
        self.raw('source', content)
        self.img(
            *('convert', '-c', '-f', 'raw', '-O', 'qcow2'),
            *('source', 'made.qcow2'),
        )
        made = model.Attachment(str(self.root / 'made.qcow2'), SIZE, 'qcow2')
        self.assertEqual((content, SIZE), self.read_of(made))

    def test_when_it_is_scattered_then_qemu_reads_it(self) -> None:
        made, content = self.make('made.qcow2'), bytearray(SIZE)
        pieces = []
        offsets = range(0, SIZE - CLUSTER, CLUSTER)
        for offset in self.draw.sample(offsets, len(offsets)):
            pieces.append((offset, self.draw.randbytes(CLUSTER)))
            content[offset : offset + CLUSTER] = pieces[-1][1]
        self.write(made, *pieces)
        self.assertEqual((bytes(content), SIZE), self.read_of(made))

    def test_when_the_base_is_raw_then_it_is_read_there(self) -> None:
        content = bytearray(self.draw.randbytes(SIZE))
        self.raw('base', bytes(content))
        self.img(
            *('create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'raw'),
            *('top.qcow2', str(SIZE)),
        )
        top = model.Attachment(
            str(self.root / 'top.qcow2'),
            SIZE,
            'qcow2',
            chain=(
                model.Link('top.qcow2', 'qcow2'),
                model.Link('base', 'raw'),
            ),
        )
        content[CLUSTER : 2 * CLUSTER] = b'y' * CLUSTER
        self.write(top, (CLUSTER, b'y' * CLUSTER))
        self.assertEqual((bytes(content), 0), self.read_of(top))

    def test_when_the_map_is_not_told_then_qemu_reads_it(self) -> None:
        made, content = self.make('made.qcow2'), bytes(self.content())
        self.write(made, (0, content))
        for told in (
            errors.SourceError('no'),
            ['[]'],
            ['[{"start": 0, "length": 5, "data": true, "zero": false}]'],
        ):
            with mock.patch.object(
                qemu, 'run', autospec=True, side_effect=told
            ):
                self.assertEqual((content, SIZE), self.read_of(made))


class FailureTest(Qcow2TestCase):
    def test_when_the_size_is_another_then_it_changed(self) -> None:
        made = self.make('made.qcow2')
        with self.assertRaisesRegex(errors.VolumeChanged, 'virtual size'):
            opening.open_reader(dataclasses.replace(made, size_bytes=512))

    def test_when_written_behind_the_end_then_refused(self) -> None:
        made = self.make('made.qcow2')
        writer = opening.open_writer(made, SIZE - 512, reads_zero=False)
        with contextlib.closing(writer):
            with self.assertRaises(errors.DestinationTooSmall):
                writer.write(SIZE - 512, [bytearray(1)])
            with self.assertRaises(errors.DestinationTooSmall):
                writer.zero(SIZE - 512, 1)

    def test_when_it_is_open_elsewhere_then_qemu_says_so(self) -> None:
        made = self.make('made.qcow2')
        writer = opening.open_writer(made, SIZE, reads_zero=False)
        with (
            contextlib.closing(writer),
            self.assertRaisesRegex(errors.SourceError, '"write" lock'),
        ):
            opening.open_writer(made, SIZE, reads_zero=False)

    def test_when_the_server_is_killed_then_it_is_told(self) -> None:
        made = self.make('made.qcow2')
        with contextlib.closing(image.Qcow2Reader(made.path, SIZE)) as reader:
            process = reader._server._process
            process.kill()
            process.wait()
            with self.assertRaisesRegex(errors.SourceError, 'signal 9'):
                reader.read_into(0, [bytearray(10)])

    def test_when_closed_then_nothing_is_left(self) -> None:
        made = self.make('made.qcow2')
        before = set(os.listdir('/proc/self/fd'))
        directory = self.root / 'tmp'
        directory.mkdir()
        with mock.patch.object(tempfile, 'tempdir', str(directory)):
            reader = opening.open_reader(made)
            process = reader._server._process  # type: ignore[attr-defined] # what is to be gone
            self.assertEqual(1, len(os.listdir(directory)))
            reader.close()
            reader.close()
        self.assertIsNotNone(process.returncode)
        self.assertEqual([], os.listdir(directory))
        self.assertEqual(before, set(os.listdir('/proc/self/fd')))

    def test_when_the_path_is_not_of_the_chain_then_refused(self) -> None:
        made = self.make('made.qcow2')
        wrong = (model.Link('other.qcow2', 'qcow2'),)
        with self.assertRaisesRegex(errors.SourceError, 'not the first'):
            server.Server(made.path, wrong)

    def test_when_the_format_is_unknown_then_not_supported(self) -> None:
        made = dataclasses.replace(self.make('made.qcow2'), format='vmdk')
        with self.assertRaisesRegex(errors.NotSupported, 'vmdk'):
            opening.open_reader(made)
        with self.assertRaisesRegex(errors.NotSupported, 'vmdk'):
            opening.open_writer(made, SIZE, reads_zero=False)

    def test_when_the_image_is_damaged_inside_then_qemu_says_so(self) -> None:
        made = self.make('made.qcow2')
        self.write(made, (0, b'x' * CLUSTER))
        with open(made.path, 'r+b') as file:
            file.seek(40)
            l1_table = int.from_bytes(file.read(8), 'big')
            file.seek(l1_table)
            file.write(bytes.fromhex('8000000000001200'))
        with (
            contextlib.closing(opening.open_reader(made)) as reader,
            self.assertRaises(errors.SourceError),
        ):
            reader.read_into(0, [bytearray(CLUSTER)])


class ChangesTest(Qcow2TestCase):
    def test_since_when_written_above_then_only_that_changed(self) -> None:
        base = self.make('base.qcow2')
        self.write(base, (0, b'a' * SIZE))
        top = self.make('top.qcow2', below='base.qcow2')
        self.write(top, (3 * CLUSTER + 5, b'b' * 10))
        writer = opening.open_writer(top, SIZE, reads_zero=False)
        with contextlib.closing(writer):
            writer.zero(8 * CLUSTER, CLUSTER)
            writer.finish()
        self.assertEqual(
            [
                (0, 3 * CLUSTER, SAME),
                (3 * CLUSTER, CLUSTER, DATA),
                (4 * CLUSTER, 4 * CLUSTER, SAME),
                (8 * CLUSTER, CLUSTER, ZERO),
                (9 * CLUSTER, SIZE - 9 * CLUSTER, SAME),
            ],
            [(e.offset, e.length, e.kind) for e in changes.since(top, 1)],
        )

    def test_since_when_two_layers_are_new_then_both_count(self) -> None:
        self.make('base.qcow2')
        self.write(
            self.make('middle.qcow2', below='base.qcow2'), (0, b'm' * 512)
        )
        top = self.make('top.qcow2', below='middle.qcow2')
        top = dataclasses.replace(
            top, chain=(*top.chain, model.Link('base.qcow2', 'qcow2'))
        )
        self.write(top, (5 * CLUSTER, b't'))
        for layers, expected in ((1, [5]), (2, [0, 5])):
            changed = [
                extent.offset // CLUSTER
                for extent in changes.since(top, layers)
                if extent.kind == DATA
            ]
            self.assertEqual(expected, changed)

    def test_marked_when_written_then_only_that_changed(self) -> None:
        made = self.make('made.qcow2')
        self.write(made, (0, b'a' * SIZE))
        self.img('bitmap', '--add', '-f', 'qcow2', 'made.qcow2', 'one')
        self.write(made, (2 * CLUSTER, b'b'))
        self.assertEqual(
            [
                (0, 2 * CLUSTER, SAME),
                (2 * CLUSTER, CLUSTER, DATA),
                (3 * CLUSTER, SIZE - 3 * CLUSTER, SAME),
            ],
            [
                (e.offset, e.length, e.kind)
                for e in changes.marked(made, 'one')
            ],
        )

    def test_marked_when_in_doubt_then_lost(self) -> None:
        made = self.make('made.qcow2')
        self.img('bitmap', '--add', '-f', 'qcow2', 'made.qcow2', 'one')
        self.img(
            'bitmap', '--add', '--disable', '-f', 'qcow2', 'made.qcow2', 'off'
        )
        self.assert_lost('has no dirty bitmap', made, 'two')
        self.assert_lost('disabled', made, 'off')
        writer = image.Qcow2Writer(made.path, SIZE, reads_zero=False)
        with contextlib.closing(writer):
            writer.write(0, [bytearray(b'x')])
            self.assert_lost('in use', made, 'one')
            # Killed: what it had marked is not saved.
            writer._server._process.kill()
        self.assert_lost('not saved', made, 'one')

    def assert_lost(
        self, told: str, attachment: model.Attachment, bitmap: str
    ) -> None:
        with self.assertRaisesRegex(errors.CheckpointLost, told):
            list(changes.marked(attachment, bitmap))

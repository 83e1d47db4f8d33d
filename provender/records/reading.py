"""The records of one raw file, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from provender.records.avro_records import avro_batches
from provender.records.batch import RecordBatch
from provender.records.build import with_constants
from provender.records.csv_blocks import BLOCK_BYTES, CsvBlocks
from provender.records.csv_records import count_records, csv_batches
from provender.records.damage import UnreadableFileError
from provender.records.folders import values_in
from provender.records.json_records import count_json_lines, json_batches
from provender.records.parquet_records import group_parts, parquet_batches
from provender.records.text import as_utf8
from provender.records.unpack import CHUNK_BYTES, Readable, compression_of, unpacked, without_compression
from provender.specs.dialect import Dialect, dialect_of
from provender.specs.source import Raw

PART_BYTES = 128 << 20
_BOM = b"\xef\xbb\xbf"
Format = Literal["csv", "json", "parquet", "avro"]


@dataclass(frozen=True)
class Part:
    """A part of a file that can be read by itself: ``[start, stop)`` in bytes, or row ``groups`` of Parquet."""

    first: int = 1
    """The number of its first record."""
    start: int = 0
    stop: int | None = None
    header: tuple[str, ...] | None = None
    """A CSV file's column names, where the part does not begin with them."""
    groups: tuple[int, ...] | None = None


WHOLE = Part()


def format_of(name: str, raw: Raw) -> Format:
    """What a file is, whatever the source's format: exports of other systems come beside the usual files."""
    small = name.lower()
    if small.endswith(".parquet"):
        return "parquet"
    return "avro" if small.endswith(".avro") else raw.format


def read_records(
    opened: BinaryIO,
    name: str,
    raw: Raw,
    declared: Sequence[str],
    part: Part = WHOLE,
    say: Callable[[str], None] | None = None,
) -> Iterator[RecordBatch]:
    """Gives the records of a file from its beginning, in constant memory.

    ``name`` says by its ending how the file is compressed, and whether it is Parquet or Avro; otherwise ``raw`` says
    what it is. ``declared``: the spec's columns in their order (of a CSV file without header the columns), each given
    under this name whatever letter case the file writes it in. CSV gives the file's other columns too, JSON gives all
    the declared ones, Parquet and Avro the declared ones that the file has. Columns that stand in folders' names
    (:mod:`provender.records.folders`) are added where the file has none of that name. A file without records gives no
    batch. ``say`` is told in a sentence what was read in an unusual way.

    Raises :class:`ContractError` for a file that is damaged, not in the encoding, packed in a way that is not read or
    larger than ``raw.max_unpacked_bytes`` once unpacked, or that names a declared column twice.
    """
    try:
        values = {key: text for key, text in values_in(name).items() if key in declared}
        positions = [each for each in declared if each not in values]
        names = list(declared) if dialect_of(raw.options).header else positions
        for batch in _batches(opened, name, raw, names, part, say):
            yield with_constants(batch, values) if values else batch
    except UnreadableFileError as damage:
        raise damage.refused(name) from damage


def _batches(
    opened: BinaryIO,
    name: str,
    raw: Raw,
    declared: list[str],
    part: Part,
    say: Callable[[str], None] | None,
) -> Iterator[RecordBatch]:
    kind, most = format_of(name, raw), raw.max_unpacked_bytes
    refuse_packed_whole(name)
    if kind == "parquet":
        if _is_empty(opened):
            return iter(())
        return parquet_batches(opened, declared, groups=part.groups, first=part.first, most_bytes=most)
    if kind == "avro":
        if _is_empty(opened):
            return iter(())
        return avro_batches(opened, declared, most_bytes=most)
    dialect = dialect_of(raw.options)
    pieces = _text(opened, name, raw, dialect, part)
    if kind == "json":
        return json_batches(pieces, dialect, declared, first=part.first, say=say)
    header = None if part.header is None else list(part.header)
    return csv_batches(pieces, dialect, declared, header=header, first=part.first, say=say)


def split(opened: BinaryIO, name: str, raw: Raw, least_bytes: int = PART_BYTES) -> list[Part]:
    """Gives parts of a file, of ``least_bytes`` and a little more, that together hold its records, each once, with the
    numbers that they have in the whole file. A file that cannot be cut (Avro, compressed, another encoding than UTF-8,
    JSON with ``multiLine``) is one part. Text is read once to find where its records end. Raises as
    :func:`read_records` does."""
    kind, dialect = format_of(name, raw), dialect_of(raw.options)
    try:
        if kind == "parquet" and not _is_empty(opened):
            groups = group_parts(opened, least_bytes)
            return [Part(first, groups=tuple(held)) for held, first in groups] or [WHOLE]
        is_plain = compression_of(name) is None and dialect.encoding in ("utf-8", "ascii")
        if kind not in ("csv", "json") or not is_plain or (kind == "json" and dialect.multi_line):
            return [WHOLE]
        if kind == "csv":
            return _csv_parts(opened, name, raw, dialect, least_bytes)
        return _json_parts(opened, name, raw, dialect, least_bytes)
    except UnreadableFileError as damage:
        raise damage.refused(name) from damage


def _csv_parts(opened: BinaryIO, name: str, raw: Raw, dialect: Dialect, least_bytes: int) -> list[Part]:
    mark = _mark(opened)
    blocks = CsvBlocks(dialect, min(BLOCK_BYTES, least_bytes))
    found, start, first, seen = [], 0, 1, 1
    header: tuple[str, ...] | None = None
    for block in blocks.walk(_text(opened, name, raw, dialect, WHOLE)):
        seen += count_records(blocks, block)
        end = mark + block.start + len(block.data)
        if end - start >= least_bytes:
            found.append(Part(first, start, end, header))
            start, first = end, seen
            header = tuple(blocks.header) if blocks.header is not None else None
    return [*found, Part(first, start, None, header)] if seen > first or not found else found


def _json_parts(opened: BinaryIO, name: str, raw: Raw, dialect: Dialect, least_bytes: int) -> list[Part]:
    """Parts end behind a line break, in which no JSON value goes on."""
    opened.seek(0, 2)
    size, start, found, first = opened.tell(), 0, [], 1
    while start < size:
        stop = _line_end(opened, min(start + least_bytes, size), dialect.line_break.encode() or b"\n")
        found.append(Part(first, start, stop))
        first += count_json_lines(_text(opened, name, raw, dialect, found[-1]), dialect.line_break)
        start = stop
    return found or [WHOLE]


def _line_end(opened: BinaryIO, at: int, line_break: bytes) -> int:
    opened.seek(at)
    rest = b""
    while piece := opened.read(CHUNK_BYTES):
        rest += piece
        if (found := rest.find(line_break)) >= 0:
            return at + found + len(line_break)
    return at + len(rest)


def _text(opened: BinaryIO, name: str, raw: Raw, dialect: Dialect, part: Part) -> Iterator[bytes]:
    if part.start or part.stop is not None:
        opened.seek(part.start)
        left = None if part.stop is None else part.stop - part.start
        pieces: Iterator[bytes] = _until(opened, left)
    else:
        if opened.seekable():
            opened.seek(0)
        pieces = unpacked(opened, name, raw.max_unpacked_bytes)
    return as_utf8(pieces, dialect.encoding, str(raw.options.get("encoding", "UTF-8")))


def _until(opened: Readable, left: int | None) -> Iterator[bytes]:
    while left is None or left > 0:
        piece = opened.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


def _mark(opened: BinaryIO) -> int:
    opened.seek(0)
    return len(_BOM) if opened.read(len(_BOM)) == _BOM else 0


def _is_empty(opened: Any) -> bool:
    opened.seek(0)
    is_empty = not opened.read(1)
    opened.seek(0)
    return is_empty


def refuse_packed_whole(name: str) -> None:
    """Raises :class:`UnreadableFileError` for Parquet and Avro compressed as a whole: they are compressed inside."""
    if compression_of(name) is not None and without_compression(name).endswith((".parquet", ".avro")):
        raise UnreadableFileError(
            "Parquet and Avro are not read where the whole file is compressed",
            "deliver it as it is: it is compressed inside",
        )

"""Records of CSV: regular blocks by Arrow, all others by the rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from provender.records.batch import RecordBatch
from provender.records.build import batch_of, sliced, text_batch
from provender.records.csv_blocks import UNIT, Block, CsvBlocks
from provender.records.names import placed
from provender.specs.dialect import Dialect


def csv_batches(
    pieces: Iterable[bytes],
    dialect: Dialect,
    declared: Sequence[str],
    *,
    header: list[str] | None = None,
    first: int = 1,
    say: Callable[[str], None] | None = None,
) -> Iterator[RecordBatch]:
    """The records of UTF-8 text. Without a header the columns are the ``declared`` ones in their order.

    ``header`` and ``first``: of a part in the middle of a file, the file's column names and the number of the part's
    first record. ``say`` is told once of quotes that are never closed. Raises :class:`UnreadableFileError` for a
    declared column that is there twice.
    """
    blocks = CsvBlocks(dialect)
    if header is not None:
        blocks.begin_at(header)
    blocks.expect(len(declared))
    names: list[str | None] | None = None
    for block in blocks.walk(pieces):
        if names is None:
            names = placed(blocks.header, declared) if blocks.header is not None else list(declared)
        batch = _batch(blocks, block, names, first)
        first += len(batch.numbers)
        yield from sliced(batch)
    if say is not None and blocks.unclosed_line is not None:
        say(unclosed_note(blocks.unclosed_line))


def unclosed_note(line: int) -> str:
    """What is said of a file whose ``line`` opens a quote that is never closed."""
    return f"the quote opened in line {line} is never closed, so that line was read as a malformed row of its own"


def count_records(blocks: CsvBlocks, block: Block) -> int:
    """How many records a block has, malformed ones counted."""
    if block.rows is not None:
        return len(block.rows)
    data, quote = block.data, blocks.dialect.quote.encode()
    octets = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero((octets == 10) | (octets == 13))
    if quote and quote in data:
        ends = ends[np.searchsorted(np.flatnonzero(octets == quote[0]), ends) % 2 == 0]
    borders = np.concatenate(([-1], ends, [len(data)]))
    return int((np.diff(borders) > 1).sum())


def _batch(blocks: CsvBlocks, block: Block, names: Sequence[str | None], first: int) -> RecordBatch:
    rows = block.rows
    if rows is None:
        arrays = _by_arrow(block.data, blocks.dialect, len(names))
        if arrays is not None:
            kept = [(name, array) for name, array in zip(names, arrays, strict=True) if name is not None]
            size = len(arrays[0])
            return batch_of([name for name, _ in kept], [array for _, array in kept], size, first)
        rows = blocks.reread(block)
    return text_batch(names, rows, first)


def _by_arrow(data: bytes, dialect: Dialect, width: int) -> list[pa.Array] | None:
    """A regular block's columns; None if a record in it is malformed."""
    separator = dialect.separator.encode()
    if len(separator) > 1:
        if dialect.quote and dialect.quote.encode() in data:
            return None
        data, separator = data.replace(separator, UNIT), UNIT
    has_quotes = bool(dialect.quote) and dialect.quote.encode() in data
    columns = [str(at) for at in range(width)]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                column_names=columns, use_threads=False, block_size=len(data) + 1
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator.decode(),
                quote_char=dialect.quote if has_quotes else False,
                double_quote=True,
                escape_char=False,
                newlines_in_values=has_quotes,
                ignore_empty_lines=True,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                check_utf8=False,
                null_values=sorted({"", dialect.null}),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    arrays = [_joined(column) for column in table.columns]
    return (
        [_trimmed(array, dialect) for array in arrays] if dialect.trim_left or dialect.trim_right else arrays
    )


def _joined(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined


def _trimmed(array: pa.Array, dialect: Dialect) -> pa.Array:
    if dialect.trim_left:
        array = pc.ascii_ltrim(array, characters=dialect.blanks)
    if dialect.trim_right:
        array = pc.ascii_rtrim(array, characters=dialect.blanks)
    return pc.if_else(pc.is_in(array, pa.array(sorted({"", dialect.null}))), None, array)

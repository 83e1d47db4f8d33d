"""Raw rows of one partition, selected by a time column from a location that holds all of them.

Values stay as they are: a CSV's are text (an Arrow that guessed would make 7 of ``007``), a JSON line is copied
byte for byte, a Parquet file's keep their types.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from provender.errors import ContractError, SourceNotReadyError
from provender.intervals import Partition, to_micros
from provender.settings import Settings
from provender.specs.model import Source
from provender.staging.groups import GROUP_ROWS, write_full_groups
from provender.staging.locate import raw_files, raw_location
from provender.staging.profile import header_of, profile
from provender.staging.raw_file import RawFile
from provender.staging.times import UNREADABLE, moments, time_format
from provender.staging.unpack import compression_of, unpacked

_BATCH_ROWS = GROUP_ROWS
_BLOCK_BYTES = 32 << 20
"""Arrow refuses a CSV row that is longer."""


@dataclass
class Selection:
    """``path``: the file of the selected rows. Of all ``rows`` of the location, ``unplaced`` name no moment, or have
    too few or too many fields, so that they belong to no partition at all."""

    path: Path
    rows: int = 0
    unplaced: int = 0

    def see(self, times: Any) -> None:
        """Counts a batch of rows."""
        self.rows += len(times)
        self.unplaced += int((times == UNREADABLE).sum())

    def skip(self, row: Any) -> str:
        """Counts a row that has too few or too many fields (Arrow's handler of such rows)."""
        self.rows += 1
        self.unplaced += 1
        return "skip"


@contextmanager
def selected_rows(settings: Settings, source: Source, partition: Partition) -> Iterator[Selection]:
    """A temporary file with the rows whose time column lies in the partition's ``[start, end)``: Parquet, or JSON
    lines for a JSON source. Rows stream by, in batches; their bytes depend on the selected rows alone. A partition
    without rows gives a file without rows.

    Raises :class:`SourceNotReadyError` if the location is not there, :class:`ContractError` with the file if it
    cannot be read or has no such column, or if more rows than ``violations`` allows belong to no partition.
    """
    files = raw_files(settings, source, partition)
    if not files:
        raise SourceNotReadyError(
            f"the raw rows of {source.name} are not there",
            where=raw_location(settings, source, partition),
            unharmed="what was staged before",
            remedy="deliver them, then run the same command again",
        )
    with tempfile.TemporaryDirectory(prefix="provender-select-") as folder:
        if source.raw.format == "json":
            selection = Selection(Path(folder) / "selected.json")
            _select_lines(source, partition, files, selection)
        else:
            selection = Selection(Path(folder) / "selected.parquet")
            _select_batches(source, partition, files, selection)
        _refuse_past_limit(source, selection, files)
        yield selection


def _refuse_past_limit(source: Source, selection: Selection, files: list[RawFile]) -> None:
    limit = 0.0 if source.violations.action == "fail" else source.violations.max_share
    if selection.unplaced and selection.unplaced / selection.rows > limit:
        raise ContractError(
            f"{source.name}: {selection.unplaced} of {selection.rows} raw rows name no moment in "
            f"{source.raw.time_column!r}, or have too few or too many fields: more than {limit:.1%}",
            where=", ".join(file.where for file in files[:3]),
            unharmed="what was staged before",
            remedy="deliver corrected rows, or change raw.time_column or violations.max_share in "
            f"sources/{source.name}.yaml, then run the same command again",
        )


def _select_batches(source: Source, partition: Partition, files: list[RawFile], selection: Selection) -> None:
    how = time_format(source)
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.Table] = []
    try:
        for batch in _batches(source, files, selection):
            times = moments(batch.column(how.column), how)
            selection.see(times)
            chosen = pa.Table.from_batches([batch]).take(np.flatnonzero(_within(times, partition)))
            if writer is None:
                writer = pq.ParquetWriter(selection.path, chosen.schema)
            waiting = write_full_groups(writer, [*waiting, chosen.cast(writer.schema)])
        if writer is None:
            # Files of no bytes at all: no columns either, which is a partition without rows.
            selection.path.touch()
            return
        for table in waiting:
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _within(times: Any, partition: Partition) -> Any:
    return (times >= to_micros(partition.start)) & (times < to_micros(partition.end))


def _batches(source: Source, files: list[RawFile], selection: Selection) -> Iterator[pa.RecordBatch]:
    wanted = time_format(source).column
    for file in files:
        try:
            if not file.bytes:
                continue
            batches = _parquet(file) if _is_parquet(source, file) else _csv(source, file, selection)
            for batch in batches:
                if wanted not in batch.schema.names:
                    raise ContractError(
                        f"{source.name}: {file.name} has no time column {wanted!r}; it has "
                        f"{', '.join(batch.schema.names[:20])}",
                        where=file.where,
                        unharmed="what was staged before",
                        remedy="correct raw.time_column in the spec, or deliver the file again",
                    )
                yield batch
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise _unreadable(source, file, error) from error


def _is_parquet(source: Source, file: RawFile) -> bool:
    return source.raw.format == "parquet" or file.name.endswith(".parquet")


def _parquet(file: RawFile) -> Iterator[pa.RecordBatch]:
    with file.open() as opened, pq.ParquetFile(opened) as parquet:
        if not parquet.metadata.num_rows:
            yield pa.RecordBatch.from_pylist([], schema=parquet.schema_arrow)
        yield from parquet.iter_batches(batch_size=_BATCH_ROWS)


def _csv(source: Source, file: RawFile, selection: Selection) -> Iterator[pa.RecordBatch]:
    options = source.raw.options
    has_header = str(options.get("header", True)).lower() == "true"
    quote, escape = str(options.get("quote", '"')), str(options.get("escape", '"'))
    names = [column.name for column in source.columns]
    header = _header(source, file) if has_header else names
    read = pc.ReadOptions(
        encoding=str(options.get("encoding", "utf8")),
        column_names=header,
        skip_rows=1 if has_header else 0,
        block_size=_BLOCK_BYTES,
    )
    parse = pc.ParseOptions(
        delimiter=str(options.get("sep", ",")),
        quote_char=quote or False,
        double_quote=escape == quote,
        escape_char=escape if escape != quote and escape else False,
        newlines_in_values=True,
        invalid_row_handler=selection.skip,
    )
    nulls = str(options.get("nullValue", ""))
    convert = pc.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        null_values=[nulls, ""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    with (
        file.open() as opened,
        _inflated(opened, file.name) as stream,
        pc.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert) as reader,
    ):
        yield from reader


def _inflated(opened: BinaryIO, name: str) -> pa.NativeFile:
    stream = pa.PythonFile(opened, mode="r")
    compression = compression_of(name)
    return pa.CompressedInputStream(stream, compression) if compression else stream


def _header(source: Source, file: RawFile) -> list[str]:
    """The file's column names, made distinct where they are empty or twice: rows are selected all the same, and the
    contract says what it thinks of them."""
    with file.open() as opened:
        names = header_of(opened, file.name, source.raw) or [column.name for column in source.columns]
    seen: dict[str, int] = {}
    distinct = []
    for at, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if name and seen[name] == 1 else f"{name or 'column'}_{at + 1}")
    return distinct


def _unreadable(source: Source, file: RawFile, error: Exception) -> ContractError:
    """With the place, as far as it can be told."""
    with file.open() as opened:
        found = profile(opened, file.name, source.raw)
    place = f"byte {found['invalid_at']} cannot be decoded" if found.get("invalid_at") is not None else ""
    reason = place or found.get("unreadable") or str(error).splitlines()[0][:300]
    return ContractError(
        f"{source.name}: {file.name} cannot be read: {reason}",
        where=file.where,
        unharmed="what was staged before",
        remedy="set raw.options in the spec (encoding, sep, quote), or deliver the file again",
    )


def _select_lines(source: Source, partition: Partition, files: list[RawFile], selection: Selection) -> None:
    how = time_format(source)
    with selection.path.open("wb") as selected:
        for file in files:
            try:
                for lines in _line_batches(file):
                    values = pa.array([_time_value(line, how.column) for line in lines], pa.string())
                    times = moments(values, how)
                    selection.see(times)
                    for at in np.flatnonzero(_within(times, partition)).tolist():
                        selected.write(lines[at] + b"\n")
            except (zlib.error, EOFError, OSError) as error:
                raise _unreadable(source, file, error) from error


def _line_batches(file: RawFile) -> Iterator[list[bytes]]:
    with file.open() as opened:
        lines: list[bytes] = []
        for line in _lines(unpacked(opened, file.name)):
            if line.strip():
                lines.append(line)
            if len(lines) == _BATCH_ROWS:
                yield lines
                lines = []
        if lines:
            yield lines


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    yield rest


def _time_value(line: bytes, column: str) -> str | None:
    try:
        value = json.loads(line).get(column)
    except (ValueError, AttributeError):
        return None
    return None if value is None else str(value)

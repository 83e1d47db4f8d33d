"""Raw rows of one partition, selected by a time column from a location that holds all of them.

Values stay as they are: a CSV's are text (an Arrow that guessed would make 7 of ``007``), a JSON object is copied as it
stands, a Parquet file's keep their types. A row that names no moment, or could not be split into fields, goes with the
row before it in its file (or the next one that names a moment), so that it is staged once and quarantined there.
"""

from __future__ import annotations

import codecs
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from provender.errors import ContractError, SourceNotReadyError
from provender.intervals import Partition, to_micros
from provender.records.damage import UnreadableFileError
from provender.records.folders import folder_values, named_with
from provender.records.json_records import JsonRecord, json_records
from provender.records.parquet_records import parquet_names, plain_names
from provender.records.reading import format_of, read_records
from provender.records.text import as_utf8
from provender.records.unpack import unpacked
from provender.settings import Settings
from provender.specs.dialect import dialect_of
from provender.specs.source import Source
from provender.staging.locate import raw_files, raw_location
from provender.staging.places import Places
from provender.staging.raw_file import RawFile
from provender.staging.selected_files import SelectedFiles
from provender.staging.times import UNREADABLE, moments, time_format


@dataclass
class Selection:
    """``paths``: the files of the selected rows. Of all ``rows`` of the location, ``unplaced`` name no moment, or could
    not be split into fields. ``notes``: what was read in an unusual way."""

    paths: list[Path] = field(default_factory=list)
    rows: int = 0
    unplaced: int = 0
    notes: list[str] = field(default_factory=list)

    def see(self, times: Any) -> None:
        """Counts a batch of rows."""
        self.rows += len(times)
        self.unplaced += int((times == UNREADABLE).sum())


@contextmanager
def selected_rows(settings: Settings, source: Source, partition: Partition) -> Iterator[Selection]:
    """Temporary files with the rows whose time column lies in the partition's ``[start, end)``: Parquet, or JSON
    lines for a JSON source. Rows stream by, in batches; their bytes depend on the selected rows alone. A partition
    without rows gives a file without rows.

    Raises :class:`SourceNotReadyError` if the location is not there, :class:`ContractError` with the file if it
    cannot be read or has no such column, or if more rows than ``violations`` allows name no moment.
    """
    files = raw_files(settings, source, partition)
    if not files:
        raise SourceNotReadyError(
            f"the raw rows of {source.name} are not there",
            where=raw_location(settings, source, partition),
            not_affected="what was staged before",
            remedy="deliver them, then run the same command again",
            source=source.name,
            partitions=(partition.key,),
        )
    with tempfile.TemporaryDirectory(prefix="provender-select-") as folder:
        selection = Selection()
        if source.raw.format == "json":
            _select_objects(source, partition, files, selection, Path(folder) / "selected.json")
        else:
            _select_batches(source, partition, files, selection, Path(folder))
        _refuse_past_limit(source, selection, files)
        yield selection


def _refuse_past_limit(source: Source, selection: Selection, files: list[RawFile]) -> None:
    limit = 0.0 if source.violations.action == "fail" else source.violations.max_share
    if selection.unplaced and selection.unplaced / selection.rows > limit:
        raise ContractError(
            f"{source.name}: {selection.unplaced} of {selection.rows} raw rows have a missing or unreadable timestamp "
            f"in {source.raw.time_column!r}, or have too few or too many fields: more than {limit:.1%}"
            + "".join(f"; {note}" for note in selection.notes[:3]),
            where=", ".join(file.where for file in files[:3]),
            not_affected="what was staged before",
            remedy="deliver corrected rows, or change raw.time_column or violations.max_share in "
            f"sources/{source.name}.yaml, then run the same command again",
            source=source.name,
            reasons={"no_moment": selection.unplaced},
        )


def _within(times: Any, partition: Partition) -> Any:
    return (times >= to_micros(partition.start)) & (times < to_micros(partition.end))


@contextmanager
def _reading(source: Source, file: RawFile) -> Iterator[None]:
    """Gives errors of the reader the source and the place."""
    try:
        yield
    except UnreadableFileError as damage:
        raise _named(source, file, damage.refused(file.name)) from damage
    except ContractError as error:
        if error.where == file.where:
            raise
        raise _named(source, file, error) from error


def _named(source: Source, file: RawFile, error: ContractError) -> ContractError:
    return ContractError(
        f"{source.name}: {error.what}",
        where=file.where,
        not_affected="what was staged before",
        remedy=error.remedy,
        source=source.name,
    )


def _noting(selection: Selection, file: RawFile) -> Callable[[str], None]:
    return lambda note: selection.notes.append(f"{file.name}: {note}")


def _select_batches(
    source: Source, partition: Partition, files: list[RawFile], selection: Selection, folder: Path
) -> None:
    how = time_format(source)
    declared = [column.name for column in source.columns]
    places: Places[tuple[pa.RecordBatch, pa.Array]] = Places()
    with SelectedFiles(folder) as selected:
        for file in files:
            with _reading(source, file), file.open() as opened:
                wanted = declared
                values = folder_values(file.where, declared)
                if file.bytes and format_of(file.name, source.raw) == "parquet":
                    wanted = _with_plain(file, declared)
                    _require_column(source, file, how.column, [*parquet_names(opened), *values])
                name = named_with(values, file.name)
                for batch in read_records(opened, name, source.raw, wanted, say=_noting(selection, file)):
                    _require_column(source, file, how.column, batch.fields.schema.names)
                    times = moments(batch.fields.column(how.column), how)
                    selection.see(times)
                    for placed, (fields, malformed) in places.place(times, (batch.fields, batch.malformed)):
                        chosen = np.flatnonzero(_within(placed, partition))
                        selected.write(fields.take(chosen), malformed.take(chosen))
        for fields, malformed in places.nowhere:
            selected.write(fields, malformed)
    selection.paths = selected.paths


def _with_plain(file: RawFile, declared: list[str]) -> list[str]:
    """The declared columns, and others of the file that any reader reads: they stay in the staged copy."""
    try:
        with file.open() as opened:
            names = plain_names(opened)
    except (pa.ArrowException, OSError):
        return declared  # the reader says what is wrong with the file
    small = {name.lower() for name in declared}
    once = [name for name in names if [each.lower() for each in names].count(name.lower()) == 1]
    return [*declared, *(name for name in once if name.lower() not in small)]


def _require_column(source: Source, file: RawFile, wanted: str, names: Sequence[str]) -> None:
    if wanted.lower() not in [name.lower() for name in names]:
        raise ContractError(
            f"{source.name}: {file.name} has no time column {wanted!r}; it has {', '.join(names[:20])}",
            where=file.where,
            not_affected="what was staged before",
            remedy="correct raw.time_column in the spec, or deliver the file again",
            source=source.name,
        )


def _select_objects(
    source: Source, partition: Partition, files: list[RawFile], selection: Selection, path: Path
) -> None:
    """Copies JSON objects, and what is none, in the source's own encoding."""
    how, dialect = time_format(source), dialect_of(source.raw.options)
    encoder = codecs.getincrementalencoder(dialect.encoding)()
    places: Places[list[JsonRecord]] = Places()
    last: list[str] = []  # over several lines, what is no JSON would take what follows with it
    with path.open("wb") as selected:

        def write(records: list[JsonRecord]) -> None:
            for record in records:
                if dialect.multi_line and record.values is None:
                    last.append(record.text)
                else:
                    selected.write(encoder.encode(record.text + (dialect.line_break or "\n")))

        for file in files:
            for records in _objects(source, file, how.column):
                values = [None if each.values is None else each.values[-1] for each in records]
                times = moments(pa.array(values, pa.string()), how)
                selection.see(times)
                for placed, held in places.place(times, records):
                    write([held[at] for at in np.flatnonzero(_within(placed, partition)).tolist()])
        for held in places.nowhere:
            write(held)
        selected.write(encoder.encode("".join(f"{text}\n" for text in last)))
    selection.paths = [path]


def _objects(source: Source, file: RawFile, time_column: str) -> Iterator[list[JsonRecord]]:
    """The records of a file; the last of their values is that of the time column."""
    raw, dialect = source.raw, dialect_of(source.raw.options)
    declared = [column.name for column in source.columns if column.name != time_column]
    with _reading(source, file), file.open() as opened:
        pieces = unpacked(opened, file.name, raw.max_unpacked_bytes)
        text = as_utf8(pieces, dialect.encoding, str(raw.options.get("encoding", "UTF-8")))
        values = folder_values(file.where, [*declared, time_column])
        for records in json_records(text, dialect, [*declared, time_column]):
            yield [_with_values(each, values, time_column) for each in records] if values else records


def _with_values(record: JsonRecord, values: Mapping[str, str], time_column: str) -> JsonRecord:
    """The object with the columns that stand in its folders' names, where it does not name them itself."""
    if record.values is None:
        return record
    missing = {name: text for name, text in values.items() if json.dumps(name) not in record.text}
    added = "".join(f"{json.dumps(name)}:{json.dumps(text)}," for name, text in missing.items())
    rest = record.text[1:].lstrip()
    row = [*record.values[:-1], missing.get(time_column, record.values[-1])]
    return JsonRecord("{" + (added.rstrip(",") if rest.startswith("}") else added) + rest, row)

"""Whether a raw file is a delivery at all, before anything of it is staged.

A download that failed leaves a file as well: ``Access Denied`` as XML, a page of HTML, ``{"error": …}``, a block of
NULs. Read as CSV that is a header and no rows, and a partition without rows takes back all that it had. So a file is
taken for a delivery only if it names the columns of its source:

* at least half of the declared columns, or all the required ones where those are two or more (keys of tables taken as
  they are, timestamps, ``required: true``), upper and lower case alike;
* a file without a row names all the required ones besides;
* of JSON lines the first objects together, of a CSV file without a header one of the first lines has as many fields as
  columns are declared.

Zero bytes, or white space alone, are a partition without rows. A column that a delivery lacks is the contract's matter,
row by row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from provender.errors import ContractError
from provender.ledger.records import StagedFile
from provender.records import hint
from provender.records.csv_blocks import CsvBlocks
from provender.records.damage import UndecodableError, UnreadableFileError
from provender.records.folders import folder_values
from provender.records.reading import format_of
from provender.records.text import as_utf8
from provender.records.unpack import unpacked
from provender.specs.dialect import dialect_of
from provender.specs.source import Source
from provender.staging.raw_file import RawFile

_HEAD_BYTES = 64 << 10
_MOST_OBJECTS = 200
_SHOWN_BYTES = 80
_SHOWN_COLUMNS = 12
_MAGIC = {
    ".parquet": b"PAR1",
    ".avro": b"Obj\x01",
    ".gz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".xz": b"\xfd7zXZ\x00",
}
"""How a file begins that is what its name says."""


@dataclass(frozen=True)
class _Head:
    """The beginning of a file, unpacked."""

    data: bytes
    is_whole: bool


def require_delivery(source: Source, file: RawFile, found: StagedFile) -> None:
    """Check that ``file`` names the columns of ``source``, or has zero bytes.

    ``found`` is the file's profile (:func:`provender.staging.profile.profile`) with its ``name``; of a file that could
    not be read the ingest says more, unless it begins as another kind of file. Raises :class:`ContractError`, which no
    retry corrects: somebody has to deliver the file again, or correct the spec.
    """
    if not found.bytes or (found.blank and not found.unreadable):
        return
    if found.unreadable:
        _refuse_other_kind(source, file, found.name, found.format, found.unreadable)
    elif found.invalid_at is not None:
        return  # in another encoding than the spec's: the ingest names the byte
    elif found.format in ("parquet", "avro"):
        _require_columns(source, file, list(found.columns), lambda: _rows_of(file, found))
    else:
        _require_text(source, file, found.name)


def require_location(source: Source, file: RawFile) -> None:
    """Check the same of a file of a location that is cut by a time column, from its beginning alone.

    Files of Parquet and Avro, and of another encoding, are left to the reader that cuts them.
    """
    if not file.bytes or format_of(file.name, source.raw) in ("parquet", "avro"):
        return
    try:
        _require_text(source, file, file.name)
    except UndecodableError:
        return
    except UnreadableFileError as damage:
        _refuse_other_kind(source, file, file.name, "", damage.why)


def _require_text(source: Source, file: RawFile, name: str) -> None:
    """Of CSV or JSON. Raises :class:`UnreadableFileError` for what cannot be unpacked or decoded."""
    head = _head(source, file, name)
    if not head.data.strip():
        return
    if source.raw.format == "json":
        _require_keys(source, file, head)
        return
    blocks = CsvBlocks(dialect_of(source.raw.options), _HEAD_BYTES)
    blocks.expect(len(_positions(source, file)))
    with file.open() as opened:
        block = next(blocks.walk(_text(source, opened, name)), None)
    if blocks.header is not None:
        _require_columns(source, file, blocks.header, lambda: block is not None, head)
    elif block is not None and not blocks.dialect.header:
        rows = blocks.reread(block) if block.rows is None else block.rows
        if rows and all(isinstance(row, str) for row in rows):
            width = len(_positions(source, file))
            what = (
                f"has no line of {width} fields among its first {len(rows)}, as many as columns are declared"
            )
            raise _no_delivery(source, file, what, head.data)


def _refuse_other_kind(source: Source, file: RawFile, name: str, kind: str, damage: str) -> None:
    ends = (end for end in _MAGIC if name.lower().endswith(end) or f".{kind}" == end)
    magic = next((_MAGIC[end] for end in ends), None)
    with file.open() as opened:
        beginning = opened.read(_SHOWN_BYTES)
    if magic is not None and not beginning.startswith(magic):
        raise _no_delivery(source, file, f"cannot be read: {damage}", beginning)


def _require_columns(
    source: Source, file: RawFile, names: list[str], has_rows: Callable[[], bool], head: _Head | None = None
) -> None:
    """``has_rows`` is asked only where it matters."""
    given = [name for name in names if name and name.strip()]
    known = _plain([*given, *_in_folders(source, file)]) & _declared(source)
    lacking = _required(source) - known
    beginning = head.data if head is not None else _beginning(file)
    if not _is_enough(source, known):
        shown = ", ".join(name[:40] for name in given[:_SHOWN_COLUMNS]) or "none"
        what = f"names {len(known)} of the {len(_declared(source))} declared columns; it has {shown}"
        raise _no_delivery(source, file, what, beginning, _hint(source, names, head))
    if lacking and not has_rows():
        what = f"has no rows and lacks the required columns {', '.join(sorted(lacking))}"
        raise _no_delivery(source, file, what, beginning, _hint(source, names, head))


def _require_keys(source: Source, file: RawFile, head: _Head) -> None:
    keys: set[str] = set()
    objects = 0
    for value in _json_values(head):
        if isinstance(value, dict):
            objects += 1
            keys |= {str(key) for key in value}
    if not objects and not head.is_whole and head.data.lstrip()[:1] in (b"{", b"["):
        return  # one object that is longer than what was read
    if not objects:
        raise _no_delivery(source, file, "does not begin with a JSON object", head.data)
    known = _plain([*keys, *_in_folders(source, file)]) & _declared(source)
    if not _is_enough(source, known):
        shown = ", ".join(sorted(key[:40] for key in keys)[:_SHOWN_COLUMNS]) or "none"
        what = f"names {len(known)} of the {len(_declared(source))} declared columns in its first objects; they have"
        raise _no_delivery(source, file, f"{what} {shown}", head.data)


def _is_enough(source: Source, known: set[str]) -> bool:
    required = _required(source)
    return 2 * len(known) >= len(_declared(source)) or (len(required) > 1 and required <= known)


def _declared(source: Source) -> set[str]:
    return _plain([*(column.name for column in source.columns), *_times(source)])


def _required(source: Source) -> set[str]:
    """Without which no row is accepted."""
    keys = [key for table in source.tables if not table.is_derived for key in table.keys]
    said = [column.name for column in source.columns if column.required]
    return _plain([*keys, *said, *_times(source)])


def _times(source: Source) -> list[str]:
    return [how.column for how in (source.event_timestamp, source.created_timestamp) if how]


def _plain(names: Iterable[str]) -> set[str]:
    return {name.strip().lower() for name in names}


def _rows_of(file: RawFile, found: StagedFile) -> bool:
    """Whether a file of Parquet has rows; of Avro it is taken for granted, and its rows are the contract's matter."""
    if found.format != "parquet":
        return True
    try:
        with file.open() as opened, pq.ParquetFile(opened) as parquet:
            return bool(parquet.metadata.num_rows)
    except (pa.ArrowException, OSError):
        return True  # the ingest says what is wrong with it


def _text(source: Source, opened: BinaryIO, name: str) -> Iterator[bytes]:
    """As the reader sees it: unpacked, in UTF-8."""
    dialect = dialect_of(source.raw.options)
    return as_utf8(unpacked(opened, name, source.raw.max_unpacked_bytes), dialect.encoding, dialect.encoding)


def _head(source: Source, file: RawFile, name: str) -> _Head:
    data = b""
    with file.open() as opened:
        for piece in _text(source, opened, name):
            data += piece
            if len(data) > _HEAD_BYTES:
                return _Head(data[:_HEAD_BYTES], is_whole=False)
    return _Head(data, is_whole=True)


def _in_folders(source: Source, file: RawFile) -> list[str]:
    """Declared columns whose value stands in the name of a folder."""
    return list(folder_values(file.where, [column.name for column in source.columns]))


def _positions(source: Source, file: RawFile) -> list[str]:
    """The columns of a CSV file without a header."""
    elsewhere = _in_folders(source, file)
    return [column.name for column in source.columns if column.name not in elsewhere]


def _beginning(file: RawFile) -> bytes:
    with file.open() as opened:
        return opened.read(_SHOWN_BYTES)


def _json_values(head: _Head) -> Iterator[Any]:
    """The values one after the other, those of an array too; a line that is no JSON is passed over."""
    decoder, text = json.JSONDecoder(), head.data.decode(errors="replace")
    at = 0
    for _ in range(_MOST_OBJECTS):
        while at < len(text) and (text[at].isspace() or text[at] in "[,"):
            at += 1
        if at >= len(text):
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            following = text.find("\n", at)
            if following < 0:
                return
            at = following + 1
            continue
        yield value


def _hint(source: Source, header: list[str], head: _Head | None) -> str:
    """Which option would read the file, if one would."""
    if head is None:
        return ""
    if b"\0" in head.data[:4] and head.data.strip(b"\0"):
        return "it looks like UTF-16: set raw.options to {encoding: UTF-16}"
    return hint({"format": "csv", "header": header}, source) or ""


def _no_delivery(source: Source, file: RawFile, what: str, beginning: bytes, hint: str = "") -> ContractError:
    declared = ", ".join([column.name for column in source.columns][:_SHOWN_COLUMNS])
    more = ", …" if len(source.columns) > _SHOWN_COLUMNS else ""
    again = (
        f"deliver the file again with the columns {declared}{more} (zero bytes, or those columns without a row, mean "
        f"that there are no rows), or correct columns in sources/{source.name}.yaml, then run the same command again"
    )
    return ContractError(
        f"{source.name}: {file.name} is no delivery: it {what}\n  it begins:  {beginning[:_SHOWN_BYTES]!r}",
        where=file.where,
        not_affected="the partition, as it was staged and ingested before",
        remedy=f"{hint}; else {again}" if hint else again,
        source=source.name,
    )

"""Records of Parquet. Only the declared columns are decoded, so that no other can stop the file.

Types are Arrow's, made plain: a dictionary is its values, a UUID is text. INT96, in which Spark, Hive and Impala write
times, is a moment in UTC, in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from provender.records.batch import RecordBatch
from provender.records.build import BATCH_ROWS, batch_of
from provender.records.damage import UnreadableFileError
from provender.records.names import placed

MALFORMED = "_malformed"
"""Column of staged files that provender cut itself: the text of a record that could not be split into fields."""
_BATCH_BYTES = 64 << 20
CUT_BY = b"provender.malformed"
"""Key of such a file's schema metadata."""


def parquet_batches(
    file: BinaryIO,
    declared: Sequence[str],
    *,
    groups: Sequence[int] | None = None,
    first: int = 1,
    most_bytes: int | None = None,
) -> Iterator[RecordBatch]:
    """The records, in batches of at most :data:`BATCH_ROWS`. ``groups``: of these row groups alone, the first of their
    records having the number ``first``.

    Raises :class:`UnreadableFileError` for what is no Parquet, a page that does not fit its checksum, columns that
    unpack to more than ``most_bytes``, and a declared column that is there twice.
    """
    try:
        with pq.ParquetFile(
            file, page_checksum_verification=True, coerce_int96_timestamp_unit="us"
        ) as parquet:
            columns = _chosen(parquet, declared)
            _refuse_too_large(parquet, [path for path, _ in columns], most_bytes)
            marked = (parquet.schema_arrow.metadata or {}).get(CUT_BY) is not None
            moments = _int96(parquet)
            wanted = [own for own, _ in columns] + ([MALFORMED] if marked else [])
            rows = _batch_rows(parquet)
            for batch in parquet.iter_batches(batch_size=rows, columns=wanted, row_groups=groups):
                arrays = [_plain(batch.column(own), own in moments) for own, _ in columns]
                malformed = batch.column(MALFORMED) if marked else pa.nulls(batch.num_rows, pa.string())
                yield _decodable([name for _, name in columns], arrays, malformed, first)
                first += batch.num_rows
    except pa.ArrowNotImplementedError as error:
        raise UnreadableFileError(f"a declared column cannot be decoded: {_first_line(error)}") from error
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError(f"damaged Parquet: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:300]


def _batch_rows(parquet: pq.ParquetFile) -> int:
    """Fewer than :data:`BATCH_ROWS` where rows are long."""
    groups = (parquet.metadata.row_group(at) for at in range(parquet.metadata.num_row_groups))
    longest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=1)
    return max(1, min(BATCH_ROWS, _BATCH_BYTES // max(1, longest)))


def _decodable(names: list[str], arrays: list[pa.Array], malformed: pa.Array, first: int) -> RecordBatch:
    """A batch in which a record with text that is not UTF-8 is malformed: whoever wrote it wrote other bytes."""
    shown = malformed.to_pylist() if malformed.null_count < len(malformed) else None
    for name, array in zip(names, arrays, strict=True):
        if not pa.types.is_string(array.type) or _is_utf8(array):
            continue
        shown = shown or [None] * len(array)
        for at, octets in enumerate(array.cast(pa.binary()).to_pylist()):
            if octets is not None and not _is_utf8_bytes(octets):
                shown[at] = f"{name} is not UTF-8: {octets[:1024]!r}"
    if shown is None:
        return batch_of(names, arrays, len(malformed), first)
    kept = pa.array([at if text is None else None for at, text in enumerate(shown)], pa.int64())
    return batch_of(names, [array.take(kept) for array in arrays], pa.array(shown, pa.string()), first)


def _is_utf8(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_utf8_bytes(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def parquet_names(file: BinaryIO) -> list[str]:
    """The names of a file's columns; raises as :func:`parquet_batches` does."""
    try:
        return [field.name for field in pq.read_schema(file)]
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError(f"damaged Parquet: {_first_line(error)}") from error


def plain_names(file: BinaryIO) -> list[str]:
    """The columns that every reader of Parquet reads: numbers, text, bytes, truth values, dates, times of day left out
    as all that is nested."""
    return [field.name for field in pq.read_schema(file) if _is_plain(field.type)]


def group_parts(file: BinaryIO, least_bytes: int) -> list[tuple[list[int], int]]:
    """Row groups that lie together and have at least ``least_bytes``, and the number of their first record."""
    found: list[tuple[list[int], int]] = []
    with pq.ParquetFile(file) as parquet:
        groups: list[int] = []
        size, first, seen = 0, 1, 0
        for at in range(parquet.metadata.num_row_groups):
            group = parquet.metadata.row_group(at)
            groups.append(at)
            size += group.total_byte_size
            seen += group.num_rows
            if size >= least_bytes:
                found.append((groups, first))
                groups, size, first = [], 0, seen + 1
        return [*found, (groups, first)] if groups else found


def _chosen(parquet: pq.ParquetFile, declared: Sequence[str]) -> list[tuple[str, str]]:
    """The file's own names of the declared columns, and the names they are given under."""
    names = [field.name for field in parquet.schema_arrow]
    given = placed(names, declared)
    wanted = set(declared)
    return [
        (own, name) for own, name in zip(names, given, strict=True) if name is not None and name in wanted
    ]


def _refuse_too_large(parquet: pq.ParquetFile, wanted: list[str], most_bytes: int | None) -> None:
    if most_bytes is None:
        return
    size = 0
    for at in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(at)
        for number in range(group.num_columns):
            column = group.column(number)
            size += column.total_uncompressed_size if column.path_in_schema.split(".")[0] in wanted else 0
    if size > most_bytes:
        raise UnreadableFileError(
            f"it unpacks to {size} bytes (raw.max_unpacked_bytes)",
            "if that is what it should hold, set raw.max_unpacked_bytes in the spec; else deliver it again",
        )


def _int96(parquet: pq.ParquetFile) -> set[str]:
    columns = (parquet.schema.column(at) for at in range(len(parquet.schema)))
    return {column.path for column in columns if column.physical_type == "INT96"}


def _plain(array: pa.Array, is_moment: bool) -> pa.Array:
    kind = array.type
    if isinstance(array, pa.DictionaryArray):
        return _plain(array.dictionary_decode(), is_moment)
    if isinstance(array, pa.ExtensionArray):
        if kind.extension_name == "arrow.uuid":
            texts = [None if each is None else str(each) for each in array.to_pylist()]
            return pa.array(texts, pa.string())
        return _plain(array.storage, is_moment)
    if is_moment and pa.types.is_timestamp(kind):
        return array.cast(pa.timestamp("us", "UTC"))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return array.cast(pa.binary())
    return array


def _is_plain(kind: pa.DataType) -> bool:
    types = pa.types
    is_small = types.is_decimal(kind) and kind.precision <= 38
    is_number = (types.is_integer(kind) or types.is_floating(kind)) and not types.is_float16(kind)
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind)
    is_other = types.is_boolean(kind) or types.is_timestamp(kind) or types.is_date(kind)
    return bool(is_small or is_number or is_text or is_other or types.is_dictionary(kind))

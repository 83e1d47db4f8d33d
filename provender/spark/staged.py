"""Staged files as one frame, whatever their formats and headers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.errors import ContractError
from provender.specs.model import Source
from provender.storage import Storage

CORRUPT = "_corrupt"
PATH = "_path"


@dataclass(frozen=True)
class StagedGroup:
    """Files that one reader can read together, and the frame of their rows.

    The frame has the files' own columns (text, or Parquet's types), ``_corrupt`` (the line, where it has too
    few or too many fields, else null) and ``_path`` (URI of the staged file).
    """

    frame: DataFrame
    columns: tuple[str, ...]


def read_groups(
    spark: SparkSession, storage: Storage, source: Source, staged: dict[str, dict[str, Any]]
) -> Iterator[StagedGroup]:
    """The staged partitions' rows, grouped by format and header. Files without a row are left out.

    Raises :class:`ContractError` for a file that is not in the encoding its spec names, or whose header
    names a column twice.
    """
    groups: dict[tuple[Any, ...], list[str]] = {}
    for entry in staged.values():
        for file in entry["files"]:
            uri = storage.uri(f"{entry['folder']}/{file['name']}")
            _refuse_unreadable(source, file, uri)
            if file["bytes"]:
                groups.setdefault(_reader_key(source, file), []).append(uri)
    for key, uris in groups.items():
        yield _read(spark, source, key, uris)


def _reader_key(source: Source, file: dict[str, Any]) -> tuple[Any, ...]:
    if file["format"] == "csv":
        header = file.get("header")
        return ("csv", tuple(header) if header else None, bool(file["multiline"]))
    if file["format"] == "parquet":
        return ("parquet", tuple(sorted(file["schema"].items())), False)
    return ("json", None, False)


def _refuse_unreadable(source: Source, file: dict[str, Any], uri: str) -> None:
    if file.get("invalid_at") is not None:
        raise ContractError(
            f"{source.name}: {file['name']} is not {source.raw.options.get('encoding', 'UTF-8')}: "
            f"byte {file['invalid_at']} cannot be decoded",
            where=uri,
            unharmed="the staged copy and everything ingested before",
            remedy="set raw.options.encoding in the spec, or deliver the file again",
        )
    header = file.get("header") or []
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ContractError(
            f"{source.name}: the header of {file['name']} names {', '.join(twice)} twice",
            where=uri,
            unharmed="the staged copy and everything ingested before",
            remedy="deliver the file with distinct column names",
        )


def _read(spark: SparkSession, source: Source, key: tuple[Any, ...], uris: list[str]) -> StagedGroup:
    kind, header, multiline = key
    if kind == "csv":
        columns = header or tuple(column.name for column in source.columns)
        frame = _read_csv(spark, source, columns, bool(header), multiline, uris)
    elif kind == "json":
        columns = tuple(column.name for column in source.columns)
        reader = spark.read.schema(_text_schema(columns)).option("columnNameOfCorruptRecord", CORRUPT)
        frame = reader.option("mode", "PERMISSIVE").json(uris)
    else:
        columns = tuple(name for name, _ in header)
        frame = spark.read.parquet(*uris).withColumn(CORRUPT, F.lit(None).cast("string"))
    return StagedGroup(frame.withColumn(PATH, F.col("_metadata.file_path")), columns)


def _read_csv(
    spark: SparkSession, source: Source, columns: tuple[str, ...], header: bool, multiline: bool, uris: list[str]
) -> DataFrame:
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": CORRUPT,
        "escape": '"',
        "nullValue": "",
        **source.raw.options,
        "header": header,
        "multiLine": multiline,
    }
    return spark.read.schema(_text_schema(columns)).options(**options).csv(uris)


def _text_schema(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{name.replace('`', '``')}` string" for name in (*columns, CORRUPT))

"""Staged files as one frame, whatever their formats and headers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.errors import ContractError
from provender.spark.types import quoted
from provender.specs.model import Source
from provender.storage import Storage, spark_path

CORRUPT = "_corrupt"
PATH = "_path"


@dataclass(frozen=True)
class StagedGroup:
    """Files that one reader can read together, and the frame of their rows.

    The frame has a column for each name in ``columns`` (text, or Parquet's types), ``_corrupt`` (the line, where
    it has too few or too many fields or is no JSON object, else null) and ``_path`` (URI of the staged file).
    """

    frame: DataFrame
    columns: dict[str, str]
    """The files' column names, which may be anything, to the frame's, which are ours."""


def read_groups(
    spark: SparkSession, storage: Storage, source: Source, staged: dict[str, dict[str, Any]]
) -> Iterator[StagedGroup]:
    """The staged partitions' rows, grouped by format and header. Files without a row are left out.

    Raises :class:`ContractError` for a file that is damaged, that is not in the encoding its spec names, or whose
    header names a column twice.
    """
    groups: dict[tuple[Any, ...], list[str]] = {}
    for entry in staged.values():
        for file in entry["files"]:
            uri = storage.uri(f"{entry['folder']}/{file['name']}")
            _refuse_unreadable(source, file, uri)
            if file["bytes"] and not file.get("blank"):
                groups.setdefault(_reader_key(source, file), []).append(spark_path(uri))
    for key, paths in groups.items():
        yield _read(spark, source, key, paths)


def _reader_key(source: Source, file: dict[str, Any]) -> tuple[Any, ...]:
    if file["format"] == "csv":
        header = file.get("header")
        return ("csv", tuple(header) if header else None, bool(file["multiline"]))
    if file["format"] in ("parquet", "avro"):
        return (file["format"], tuple(sorted(file["schema"].items())), False)
    return ("json", None, False)


def _refuse_unreadable(source: Source, file: dict[str, Any], uri: str) -> None:
    problem, remedy = "", ""
    names = [name.lower() for name in file.get("header") or [] if name]
    twice = file.get("twice") or sorted({name for name in names if names.count(name) > 1})
    if file.get("unreadable"):
        problem, remedy = f"cannot be read: {file['unreadable']}", "deliver the file again"
    elif file.get("invalid_at") is not None:
        encoding = source.raw.options.get("encoding", "UTF-8")
        problem = f"is not {encoding}: byte {file['invalid_at']} cannot be decoded"
        remedy = "set raw.options.encoding in the spec, or deliver the file again"
    elif twice:
        problem = f"names the column {', '.join(twice)} twice (upper and lower case are the same)"
        remedy = "deliver the file with distinct column names"
    if problem:
        raise ContractError(
            f"{source.name}: {file['name']} {problem}",
            where=uri,
            unharmed="the staged copy and everything ingested before",
            remedy=remedy,
        )


def _read(spark: SparkSession, source: Source, key: tuple[Any, ...], paths: list[str]) -> StagedGroup:
    kind, header, multiline = key
    declared = [column.name for column in source.columns]
    if kind == "csv":
        names = list(header or declared)
        frame = _read_csv(spark, source, len(names), bool(header), multiline, paths)
    elif kind == "json":
        # A reader of JSON goes by name, so these are the declared ones; others are passed over.
        names = declared
        schema = ", ".join(f"{quoted(name)} string" for name in (*names, CORRUPT))
        reader = spark.read.schema(schema).options(**source.raw.options)
        frame = reader.option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT).json(paths)
        frame = _renamed(frame, names, CORRUPT)
    else:
        # Spark cannot read nanoseconds as times: as integers it can.
        spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
        frame = spark.read.format(kind).load(paths)
        names = frame.columns
        frame = _with_nanoseconds(_renamed(frame, names), names, dict(header))
        frame = frame.withColumn(CORRUPT, F.lit(None).cast("string"))
    return StagedGroup(frame, {name: _ours(at) for at, name in enumerate(names) if name})


def _read_csv(
    spark: SparkSession, source: Source, width: int, header: bool, multiline: bool, paths: list[str]
) -> DataFrame:
    """The schema goes by position, so that a header may hold any name, or none."""
    # Exports of other systems are in encodings that Spark no longer offers by itself.
    spark.conf.set("spark.sql.legacy.javaCharsets", "true")
    options = {
        "escape": '"',
        "nullValue": "",
        **source.raw.options,
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": CORRUPT,
        "header": header,
        "multiLine": multiline,
    }
    schema = ", ".join(f"{name} string" for name in (*map(_ours, range(width)), CORRUPT))
    frame = spark.read.schema(schema).options(**options).csv(paths)
    return frame.select("*", F.col("_metadata.file_path").alias(PATH))


def _renamed(frame: DataFrame, names: list[str], *kept: str) -> DataFrame:
    ours = [F.col(quoted(name)).alias(_ours(at)) for at, name in enumerate(names)]
    return frame.select(*ours, *kept, F.col("_metadata.file_path").alias(PATH))


def _with_nanoseconds(frame: DataFrame, names: list[str], arrow_types: dict[str, str]) -> DataFrame:
    """Columns of nanoseconds as times: with a zone as instants, without one as wall times."""
    times = {}
    for at, name in enumerate(names):
        if arrow_types.get(name, "").startswith("timestamp[ns"):
            instant = F.expr(f"timestamp_micros(({_ours(at)} - pmod({_ours(at)}, 1000)) div 1000)")
            kind = "timestamp" if "tz=" in arrow_types[name] else "timestamp_ntz"
            times[_ours(at)] = instant.cast(kind)
    return frame.withColumns(times) if times else frame


def _ours(position: int) -> str:
    return f"c{position}"

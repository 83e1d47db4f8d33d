from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provender.errors import ContractError, SourceNotReadyError
from provender.intervals import Partition
from provender.records import read_records
from provender.specs.source import Source
from provender.staging import stage
from tests.engine import Project, make_project
from tests.spark.readings import day, key_of, spec


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, spark={})


def one_location(project: Project, raw: dict[str, Any], **changes: Any) -> Source:
    uri = {"uri": f"../raw/readings/all.{raw.get('format', 'csv')}", "time_column": "at"}
    return project.write_source(
        spec(raw=uri | raw, **changes), daily="SELECT key, 1 AS total, 1 AS readings FROM readings"
    )


def drop(project: Project, name: str, data: bytes) -> Path:
    path = project.folder / "raw" / "readings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def selected(project: Project, source: Source, number: int, attempt: str = "a") -> list[dict[str, Any]]:
    partition = Partition.parse(source.cadence, key_of(number))
    entry = stage(project.settings, source, [partition], attempt).partitions[partition.key]
    [file] = entry.files
    if not file.bytes:
        return []
    with project.storage.open(f"{entry.folder}/{file.name}") as staged:
        return list(pq.read_table(staged).to_pylist())


CSV = (
    "key;value;at\n"
    "007;1;2026-01-01T00:00:00Z\n"
    '"a;b";"";2026-01-01T23:59:59.999999Z\n'
    "c;NA;2026-01-02T00:00:00Z\n"
    "d;4;2026-01-02T01:00:00+02:00\n"
)


def test_a_days_rows_are_cut_half_open_and_stay_text(project: Project) -> None:
    source = one_location(project, {"options": {"sep": ";", "nullValue": "NA"}})
    drop(project, "all.csv", CSV.encode())
    assert selected(project, source, 1) == [
        {"key": "007", "value": "1", "at": "2026-01-01T00:00:00Z"},
        {"key": "a;b", "value": None, "at": "2026-01-01T23:59:59.999999Z"},
        {"key": "d", "value": "4", "at": "2026-01-02T01:00:00+02:00"},
    ]
    assert selected(project, source, 2) == [{"key": "c", "value": None, "at": "2026-01-02T00:00:00Z"}]
    assert selected(project, source, 3) == []


def test_encoding_quotes_and_a_missing_header_are_the_specs(project: Project) -> None:
    source = one_location(project, {"options": {"encoding": "ISO-8859-1", "quote": "'", "header": False}})
    drop(project, "all.csv", "'ü,\nx',1,2026-01-01\n".encode("latin-1"))
    assert selected(project, source, 1) == [{"key": "ü,\nx", "value": "1", "at": "2026-01-01"}]


@pytest.mark.parametrize(
    ("event", "values", "chosen"),
    [
        ({"format": "epoch_s"}, ["1767225599", "1767225600", "1767311999.5", "1767312000"], [1, 2]),
        ({"format": "epoch_ms"}, ["1767225599999", "1767225600000"], [1]),
        ({"format": "epoch_us"}, ["1767225599999999", "1767225600000000"], [1]),
        ({"format": "dd.MM.yyyy HH:mm"}, ["31.12.2025 23:59", "01.01.2026 00:00"], [1]),
        ({"format": "yyyy-MM-dd'T'HH:mm:ssXXX"}, ["2026-01-01T00:30:00+01:00", "2026-01-01T00:30:00Z"], [1]),
        ({"zone": "Europe/Berlin"}, ["2026-01-01 00:59", "2026-01-01 01:00", "2026-01-01T00:59:00Z"], [1, 2]),
        ({"zone": "America/New_York", "format": "yyyyMMddHH"}, ["2025123118", "2025123119"], [1]),
    ],
)
def test_the_time_column_is_read_as_the_spec_says(
    project: Project, event: dict[str, str], values: list[str], chosen: list[int]
) -> None:
    source = one_location(project, {}, event_timestamp={"column": "at", **event})
    rows = [f"k{at},1,{value}" for at, value in enumerate(values)]
    drop(project, "all.csv", "\n".join(["key,value,at", *rows, ""]).encode())
    assert [row["key"] for row in selected(project, source, 1)] == [f"k{at}" for at in chosen]


@pytest.mark.parametrize(
    ("zone", "wall", "moment"),
    [
        ("Europe/Berlin", "2026-03-29T02:30:00", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("Europe/Berlin", "2026-10-25T02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
    ids=["a wall time that was skipped is placed after the change", "one that came twice is the earlier"],
)
def test_wall_times_around_clock_changes_have_a_place(zone: str, wall: str, moment: datetime) -> None:
    from provender.intervals import to_micros
    from provender.specs.source import Timestamp
    from provender.staging.times import moments

    found = moments(pa.array([wall]), Timestamp(column="at", zone=zone))
    assert found.tolist() == [to_micros(moment)]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.timestamp("us", "UTC"), [day(1), day(2)]),
        (pa.timestamp("ns"), [day(1).replace(tzinfo=None), day(2).replace(tzinfo=None)]),
        (pa.date32(), [day(1).date(), day(2).date()]),
        (pa.string(), ["2026-01-01", "2026-01-02"]),
    ],
)
def test_parquet_keeps_its_types(project: Project, kind: pa.DataType, values: list[Any]) -> None:
    source = one_location(project, {"format": "parquet"})
    table = pa.table({"key": ["a", "b"], "value": pa.array([1, 2], pa.int64()), "at": pa.array(values, kind)})
    path = drop(project, "all.parquet", b"")
    pq.write_table(table, path)
    assert selected(project, source, 1) == table.slice(0, 1).to_pylist()
    assert selected(project, source, 2) == table.slice(1, 1).to_pylist()


def test_json_lines_are_copied_byte_for_byte(project: Project) -> None:
    source = one_location(project, {"format": "json"}, violations={"max_share": 0.5})
    line = b'{"at": "2026-01-01T05:00:00Z",  "value": 1.0, "key": "x"}\n'
    drop(project, "all.json", line + b'{"at": "2026-01-02T05:00:00Z"}\nnot json\n')
    entry = stage(project.settings, source, [Partition.parse(source.cadence, key_of(1))], "a").partitions[
        key_of(1)
    ]
    assert project.storage.read(f"{entry.folder}/{entry.files[0].name}") == line


def test_rows_of_other_days_do_not_change_a_days_bytes(project: Project) -> None:
    source = one_location(project, {})
    header, mine = "key,value,at\n", "".join(f"k{n},{n},2026-01-01T00:00:00Z\n" for n in range(5))
    drop(project, "all.csv", (header + mine).encode())
    selected(project, source, 1, "first")
    others = "".join(f"o{n},{n},2026-01-02T00:00:00Z\n" for n in range(100_000))
    drop(project, "all.csv", (header + others + mine).encode())
    selected(project, source, 1, "second")
    _first, second = project.ledger("readings").manifests("stage")  # type: ignore[arg-type]
    assert str(second.kind) == "receipt"


def test_rows_without_a_moment_are_counted_and_past_the_limit_refused(project: Project) -> None:
    rows = "key,value,at\na,1,2026-01-01\nb,2,yesterday\nc,3\nd,4,2026-01-01\n"
    drop(project, "all.csv", rows.encode())
    source = one_location(project, {}, violations={"max_share": 0.5})
    manifest = stage(project.settings, source, [Partition.parse(source.cadence, key_of(1))], "a")
    [note] = manifest.notes
    assert note.startswith("2 of 4 raw rows")
    source = one_location(project, {}, violations={"max_share": 0.4})
    with pytest.raises(ContractError, match="2 of 4 raw rows") as caught:
        stage(project.settings, source, [Partition.parse(source.cadence, key_of(1))], "b")
    assert "all.csv" in caught.value.where


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"key,value\na,1\n", "no time column 'at'; it has key, value"),
        (b"key,value,at\n\xff\xfe,1,2026-01-01\n", "byte 13 cannot be decoded"),
    ],
)
def test_a_location_that_cannot_be_read_is_one_sentence(project: Project, data: bytes, message: str) -> None:
    source = one_location(project, {})
    drop(project, "all.csv", data)
    with pytest.raises(ContractError, match=message) as caught:
        selected(project, source, 1)
    assert "all.csv" in caught.value.where
    assert project.ledger("readings").manifests("stage") == []  # type: ignore[arg-type]


def test_a_damaged_parquet_location_names_the_file(project: Project) -> None:
    source = one_location(project, {"format": "parquet"})
    drop(project, "all.parquet", b"PAR1 nothing more")
    with pytest.raises(ContractError, match=r"all\.parquet cannot be read"):
        selected(project, source, 1)


def test_parquet_without_rows_has_the_time_column_all_the_same(project: Project) -> None:
    source = one_location(project, {"format": "parquet"})
    path = drop(project, "all.parquet", b"")
    pq.write_table(pa.table({"key": pa.array([], pa.string())}), path)
    with pytest.raises(ContractError, match="no time column 'at'; it has key"):
        selected(project, source, 1)
    pq.write_table(pa.table({"key": pa.array([], pa.string()), "AT": pa.array([], pa.string())}), path)
    assert selected(project, source, 1) == []


def test_a_location_that_is_not_there_is_not_ready_and_an_empty_one_has_no_rows(project: Project) -> None:
    source = one_location(project, {})
    with pytest.raises(SourceNotReadyError, match="not there"):
        selected(project, source, 1)
    drop(project, "all.csv", b"")
    assert selected(project, source, 1) == []


def staged_files(project: Project, source: Source, number: int) -> dict[str, list[dict[str, Any]]]:
    """The rows of each staged file of a day."""
    partition = Partition.parse(source.cadence, key_of(number))
    entry = stage(project.settings, source, [partition], f"files-{number}").partitions[partition.key]
    found = {}
    for file in entry.files:
        with project.storage.open(f"{entry.folder}/{file.name}") as opened:
            batches = list(read_records(opened, file.name, source.raw, ["key", "value", "at"]))
        rows = [row for batch in batches for row in batch.fields.to_pylist()]
        lines = [line for batch in batches for line in batch.malformed.to_pylist()]
        pairs = zip(rows, lines, strict=True)
        found[file.name] = [row if line is None else {"line": line} for row, line in pairs]
    return found


def test_a_row_without_a_moment_is_staged_once_with_the_row_before_it(project: Project) -> None:
    rows = (
        "?,0,never\na,1,2026-01-01\nfew,1\nb,2,yesterday\nc,3,2026-01-02\nd,4,\nmany,1,2,3\ne,5,2026-01-01\n"
    )
    drop(project, "all.csv", b"key,value,at\n" + rows.encode())
    source = one_location(project, {}, violations={"max_share": 1.0})
    first, second, third = (staged_files(project, source, number) for number in (1, 2, 3))
    assert [row["key"] for row in first["selected.parquet"]] == ["?", "a", "b", "e"]
    assert first["selected-malformed.parquet"] == [{"line": "few,1"}]
    assert [row["key"] for row in second["selected.parquet"]] == ["c", "d"]
    assert second["selected-malformed.parquet"] == [{"line": "many,1,2,3"}]
    assert third == {"selected.parquet": []}
    manifest = project.ledger("readings").manifests("stage")[0]  # type: ignore[arg-type]
    assert manifest.counts["unplaced"] == 5


def test_a_quote_that_is_never_closed_spoils_its_line_alone_here_too(project: Project) -> None:
    rows = [f"k{n},{n},2026-01-01" for n in range(100)]
    rows.insert(50, '"open,1,2026-01-01')
    drop(project, "all.csv", "\n".join(["key,value,at", *rows, ""]).encode())
    source = one_location(project, {})
    found = staged_files(project, source, 1)
    assert [len(rows) for rows in found.values()] == [100, 1]
    [manifest] = project.ledger("readings").manifests("stage")  # type: ignore[arg-type]
    assert any("quote opened in line 52 is never closed" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sep": r"\t"}, "\tkey\tvalue\tat\n0\ta b\t1\t2026-01-01\n"),
        ({"sep": "||"}, "key||value||at\na b||1||2026-01-01\n"),
        ({"quote": ""}, "key,value,at\na b,1,2026-01-01\n"),
        ({"comment": "#"}, "#,\n\nkey,value,at\n#x\na b,1,2026-01-01\n"),
        ({"ignoreLeadingWhiteSpace": True, "ignoreTrailingWhiteSpace": True}, "key,value,at\n a b , 1,2026-01-01 \n"),
        ({"encoding": "UTF-16"}, "key,value,at\r\na b,1,2026-01-01\r\n"),
    ],
)  # fmt: skip
def test_options_mean_here_what_they_mean_in_a_partitions_own_file(
    project: Project, options: dict[str, Any], text: str
) -> None:
    drop(project, "all.csv", text.encode(options.get("encoding", "utf-8")))
    source = one_location(project, {"options": options})
    assert selected(project, source, 1) == [{"key": "a b", "value": "1", "at": "2026-01-01"}]


def test_objects_joined_on_a_line_and_what_is_none_are_staged(project: Project) -> None:
    one, two = '{"key":"a","at":"2026-01-01"}', '{"key":"b","at":"2026-01-02"}'
    source = one_location(
        project, {"format": "json", "options": {"encoding": "UTF-16"}}, violations={"max_share": 0.5}
    )
    drop(project, "all.json", f"{one}{two}{one} and more\n".encode("utf-16"))
    [found] = staged_files(project, source, 1).values()
    assert [row.get("key") or row["line"] for row in found] == ["a", "a", "and more"]
    [found] = staged_files(project, source, 2).values()
    assert [row["key"] for row in found] == ["b"]


def test_files_of_different_columns_are_each_staged_as_they_are(project: Project) -> None:
    uri = {"uri": "../raw/readings/*.csv", "time_column": "at"}
    source = project.write_source(spec(raw=uri), daily="SELECT key, 1 AS total, 1 AS readings FROM readings")
    drop(project, "a.csv", b"key,value,at\na,1,2026-01-01\n")
    drop(project, "b.csv", b"at,extra,key,value\n2026-01-01,x,b,2\n")
    drop(project, "_committed_1.csv", b"nothing of the kind")
    found = staged_files(project, source, 1)
    assert [[row["key"] for row in rows] for rows in found.values()] == [["a"], ["b"]]


def test_folders_called_after_a_column_give_it(project: Project) -> None:
    for number in (1, 2):
        drop(project, f"at={key_of(number)}T05%3A00%3A00Z/x.csv", f"key,value\nk{number},{number}\n".encode())
    uri = {"uri": "../raw/readings", "time_column": "at"}
    daily = "SELECT key, 1 AS total, 1 AS readings FROM readings"
    source = project.write_source(spec(raw=uri), daily=daily)
    [rows] = staged_files(project, source, 2).values()
    assert rows == [{"key": "k2", "value": "2", "at": f"{key_of(2)}T05:00:00Z"}]
    source = project.write_source(spec(raw={"uri": "../raw/readings/at={partition}*/*"}), daily=daily)
    [(name, rows)] = staged_files(project, source, 1).items()
    assert name.endswith("++x.csv")
    assert rows == [{"key": "k1", "value": "1", "at": f"{key_of(1)}T05:00:00Z"}]

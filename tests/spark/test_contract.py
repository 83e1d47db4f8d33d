"""Rows that break the contract, files that break the format: counted, named and kept, never lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import deltalake
import pytest

from provender.errors import ContractError
from provender.intervals import Partition
from provender.ledger import Manifest
from provender.staging import stage
from tests.engine import Project, make_project
from tests.spark.readings import key_of

pytestmark = pytest.mark.spark

COLUMNS = [
    {"name": "key", "type": "STRING", "required": True, "max_length": 2_000_000},
    {"name": "value", "type": "INT64", "min": 0, "max": 1000},
    {"name": "small", "type": "INT32"},
    {"name": "ratio", "type": "FLOAT", "min": 0.1, "max": 0.9},
    {"name": "word", "type": "STRING", "allowed": ["yes", "no"]},
    {"name": "flag", "type": "BOOL"},
    {"name": "blob", "type": "BYTES"},
    {"name": "at", "type": "TIMESTAMP"},
]
HEADER = "key,value,small,ratio,word,flag,blob,at\n"
TEN_MEGABYTES = 10 << 20


def things(**changes: Any) -> dict[str, Any]:
    return {
        "name": "things",
        "owner": "tests",
        "cadence": "daily",
        "start": "2026-01-01",
        "raw": {"uri": "../raw/things/{partition}.*", "format": "csv"},
        "event_timestamp": {"column": "at"},
        "columns": COLUMNS,
        "violations": {"max_share": 1.0},
        "tables": [{"name": "things", "keys": ["key"], "columns": ["value", "word"]}],
    } | changes


def good(number: int, key: str = "good") -> str:
    return f"{key},1,2,0.5,yes,true,QUI=,{key_of(number)}T10:00:00Z\n"


def bad_values(number: int) -> dict[str, str]:
    """Per reason a row that has only this one."""
    at = f"{key_of(number)}T10:00:00Z"
    rest = "0.5,yes,true,QUI="
    return {
        "null:key": f",1,2,{rest},{at}",
        "wrong_type:value": f"k,abc,2,{rest},{at}",
        "below_min:value": f"k,-1,2,{rest},{at}",
        "above_max:value": f"k,1001,2,{rest},{at}",
        "wrong_type:small": f"k,1,2147483648,{rest},{at}",
        "not_finite:ratio": f"k,1,2,NaN,yes,true,QUI=,{at}",
        "below_min:ratio": f"k,1,2,0.09,yes,true,QUI=,{at}",
        "above_max:ratio": f"k,1,2,0.91,yes,true,QUI=,{at}",
        "wrong_type:ratio": f"k,1,2,0.5f,yes,true,QUI=,{at}",
        "not_allowed:word": f"k,1,2,0.5,maybe,true,QUI=,{at}",
        "wrong_type:flag": f"k,1,2,0.5,yes,perhaps,QUI=,{at}",
        "wrong_type:blob": f"k,1,2,0.5,yes,true,*,{at}",
        "wrong_type:at": "k,1,2,0.5,yes,true,QUI=,12:30",
        "null:at": "k,1,2,0.5,yes,true,QUI=,",
        "too_late": f"k,1,2,{rest},2025-12-31T23:59:59.999999Z",
        "after_partition": f"k,1,2,{rest},{key_of(number + 1)}T00:00:00Z",
    }


def files() -> dict[int, tuple[str, bytes]]:
    """Day number to extension and bytes."""
    text = {
        1: HEADER + good(1) + "\n".join(bad_values(1).values()) + "\n",
        2: HEADER + good(2) + "few,1\n" + good(2)[:-1] + ",many,more\n",
        3: HEADER + good(3) + '"open,1,2,0.5,yes,true,QUI=,2026-01-03\n' + good(3, "after"),
        4: "at,key,value,small,ratio,word,flag\n2026-01-04,k,1,2,0.5,yes,true\n",
        5: "at,key,blob,flag,word,ratio,small,value,`x`; DROP TABLE y,_path,_corrupt,\n"
        "2026-01-05,k,QUI=,true,yes,0.5,2,1,=cmd(),p,c,\n",
        6: "\ufeff" + HEADER + good(6, '"a\nb"') + good(6, '"say ""hi"""') + good(6, "plain"),
        7: HEADER + good(7, "x" * TEN_MEGABYTES) + good(7),
        9: HEADER,
        10: "",
        11: "\n\n",
        12: HEADER + good(12, "=cmd()") + good(12, "'; DROP TABLE things; --") + good(12, "../../x"),
        13: HEADER.replace("\n", "\r\n") + good(13).replace("\n", "\r\n") + '5" pipe' + good(13)[4:],
        14: HEADER + "edge,1000,-2147483648,0.9,no,false,,2026-01-14T23:59:59.999999Z\n"
        "edge,0.0,+7,0.1,,,,2026-01-14T02:00:00+02:00\n",
    }
    found = {number: ("csv", content.encode()) for number, content in text.items()}
    packed = gzip.compress((HEADER + good(8)).encode()) + gzip.compress(good(8, "second").encode())
    return found | {8: ("csv.gz", packed)}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, engine_url: str) -> Project:
    return make_project(tmp_path_factory.mktemp("with space") / "ü x", spark={"remote": engine_url})


@pytest.fixture(scope="module")
def ingested(projects: Project) -> Manifest:
    """All files in one ingest."""
    projects.write_source(things())
    for number, (extension, content) in files().items():
        path = projects.drop("things", key_of(number), content)
        path.rename(path.with_name(f"{key_of(number)}.{extension}"))
    return projects.run("things", *map(key_of, sorted(files())), attempt="all")


def entry(manifest: Manifest, number: int) -> dict[str, Any]:
    return manifest.partitions[key_of(number)]


def counts(manifest: Manifest, number: int) -> tuple[int, int]:
    return entry(manifest, number).accepted, entry(manifest, number).quarantined


def rows_of(project: Project, table: str, number: int) -> list[dict[str, Any]]:
    rows = deltalake.DeltaTable(project.storage.uri(f"{table}/things")).to_pyarrow_table().to_pylist()
    return [row for row in rows if row["_partition"].strftime("%Y-%m-%d") == key_of(number)]


def test_staged_is_accepted_and_quarantined_always(ingested: Manifest) -> None:
    for found in ingested.partitions.values():
        assert found.staged == found.accepted + found.quarantined
    assert ingested.counts["staged"] == sum(found.staged for found in ingested.partitions.values())


def test_every_violation_has_its_reason(ingested: Manifest, projects: Project) -> None:
    assert entry(ingested, 1).reasons == dict.fromkeys(sorted(bad_values(1)), 1)
    assert counts(ingested, 1) == (1, len(bad_values(1)))
    quarantined = rows_of(projects, "quarantine", 1)
    assert sorted(reason for row in quarantined for reason in row["reasons"]) == sorted(bad_values(1))
    assert all(row["_file"].endswith(f"{key_of(1)}.csv") for row in quarantined)
    [overflown] = [row for row in quarantined if row["reasons"] == ["wrong_type:small"]]
    assert json.loads(overflown["raw"])["small"] == "2147483648"


def test_lines_with_too_few_or_too_many_fields_are_kept_as_they_were(
    ingested: Manifest, projects: Project
) -> None:
    assert counts(ingested, 2) == (1, 2)
    assert entry(ingested, 2).reasons["malformed"] == 2
    lines = [json.loads(row["raw"])["_line"] for row in rows_of(projects, "quarantine", 2)]
    assert "few,1" in lines


def test_a_quote_that_is_never_closed_spoils_its_line_alone_and_is_announced(ingested: Manifest) -> None:
    assert counts(ingested, 3) == (2, 1)
    assert any("quote opened in line 3 is never closed" in note for note in ingested.notes)


def test_a_missing_column_quarantines_the_rows(ingested: Manifest) -> None:
    assert entry(ingested, 4).reasons == {"missing_column:blob": 1}


def test_columns_in_another_order_and_extra_ones_with_hostile_names(
    ingested: Manifest, projects: Project
) -> None:
    assert counts(ingested, 5) == (1, 0)
    [row] = rows_of(projects, "raw", 5)
    assert (row["key"], row["value"], row["word"]) == ("k", 1, "yes")
    assert "=cmd()" not in row.values()
    noted = "\n".join(ingested.notes)
    assert "column '`x`; DROP TABLE y' of 2026-01-05.csv is not in the spec and was left out" in noted
    assert "'_path'" in noted


def test_a_byte_order_mark_and_line_breaks_within_quotes(ingested: Manifest, projects: Project) -> None:
    assert {row["key"] for row in rows_of(projects, "raw", 6)} == {"a\nb", 'say "hi"', "plain"}


def test_ten_megabytes_in_a_field_are_quarantined_in_short(ingested: Manifest, projects: Project) -> None:
    assert entry(ingested, 7).reasons == {"too_long:key": 1}
    [row] = rows_of(projects, "quarantine", 7)
    assert len(row["raw"]) <= 1 << 16


def test_gzip_of_several_members(ingested: Manifest, projects: Project) -> None:
    assert {row["key"] for row in rows_of(projects, "raw", 8)} == {"good", "second"}


@pytest.mark.parametrize("number", [9, 10, 11], ids=["header only", "zero bytes", "blank lines"])
def test_an_empty_partition_is_valid_and_recorded(ingested: Manifest, number: int) -> None:
    found = entry(ingested, number)
    assert (found.staged, found.accepted, found.quarantined) == (0, 0, 0)


def test_hostile_values_are_values(ingested: Manifest, projects: Project) -> None:
    keys = {row["key"] for row in rows_of(projects, "raw", 12)}
    assert keys == {"=cmd()", "'; DROP TABLE things; --", "../../x"}


def test_a_stray_quote_and_carriage_returns(ingested: Manifest, projects: Project) -> None:
    assert {row["key"] for row in rows_of(projects, "raw", 13)} == {"good", '5" pipe'}


def test_bounds_are_inclusive_as_the_column_holds_them(ingested: Manifest, projects: Project) -> None:
    assert counts(ingested, 14) == (2, 0)
    rows = {(row["value"], row["small"], row["word"]) for row in rows_of(projects, "raw", 14)}
    assert rows == {(1000, -(2**31), "no"), (0, 7, None)}


def refused(project: Project, spec: dict[str, Any], number: int, name: str, content: bytes) -> str:
    """The whole message of an ingest that must be refused, with nothing written."""
    source = project.write_source(spec)
    folder = project.folder / "raw" / source.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    with pytest.raises(ContractError) as caught:
        project.run(source.name, key_of(number))
    assert project.storage.names(f"tables/{source.name}") == []
    assert project.ledger(source.name).manifests("ingest") == []  # type: ignore[arg-type]
    message = str(caught.value)
    assert "Traceback" not in message
    assert name in message
    return message


@pytest.fixture
def broken(projects: Project, request: pytest.FixtureRequest) -> dict[str, Any]:
    """A spec of a source of the test's own."""
    name = f"broken{abs(hash(request.node.name)) % 10**8}"
    return things(name=name, raw={"uri": f"../raw/{name}/{{partition}}.*", "format": "csv"})


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "2026-01-01.csv",
            HEADER.encode() + b"\xe4,1",
            f"is not UTF-8: byte {len(HEADER)} cannot be decoded",
        ),
        ("2026-01-01.csv", b"key,Key,at\n1,2,3\n", "names the column key twice"),
        ("2026-01-01.csv.gz", gzip.compress(HEADER.encode() * 50)[:-9], "damaged gzip"),
        ("2026-01-01.csv.gz", b"no gzip at all", "damaged gzip"),
        ("2026-01-01.parquet", b"PAR1 and nothing", "damaged Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_place(
    projects: Project, broken: dict[str, Any], name: str, content: bytes, sentence: str
) -> None:
    message = refused(projects, broken, 1, name, content)
    assert sentence in message
    assert "deliver the file" in message


def test_past_the_limit_it_fails_with_counts_examples_and_place(
    projects: Project, broken: dict[str, Any]
) -> None:
    content = HEADER + good(1) + "k,abc,2,0.5,yes,true,QUI=,2026-01-01\nfew,1\n"
    spec = broken | {"violations": {"max_share": 0.5}}
    message = refused(projects, spec, 1, "2026-01-01.csv", content.encode())
    assert "2026-01-01: 2 of 3 rows" in message
    assert "malformed 1" in message
    assert '"value":"abc"' in message
    # Nothing is left behind that the next partition would have to finish.
    assert (
        projects.storage.lock(f"{spec['name']}.tables", "next", timeout_seconds=0).__enter__().abandoned_work
        == []
    )


def test_another_encoding_is_read_once_the_spec_says_so(projects: Project, broken: dict[str, Any]) -> None:
    content = HEADER + good(1, "Gerät €")
    refused(projects, broken, 1, "2026-01-01.csv", content.encode("cp1252"))
    raw = broken["raw"] | {"options": {"encoding": "windows-1252"}}
    projects.write_source(broken | {"raw": raw})
    assert projects.run(broken["name"], key_of(1), attempt="fixed").counts["accepted"] == 1


def staged(project: Project, name: str, *keys: str) -> dict[str, dict[str, Any]]:
    source = project.source(name)
    return stage(
        project.settings, source, [Partition.parse(source.cadence, key) for key in keys], "s"
    ).partitions


def checked(project: Project, spark: Any, name: str, *keys: str) -> list[dict[str, Any]]:
    from provender.ingestion.checked_rows import checked_rows

    frame = checked_rows(spark, project.storage, project.source(name), staged(project, name, *keys), {})
    return [row.asDict() for row in frame.collect()]


def test_json_lines(project: Project, spark: Any) -> None:
    project.write_source(things(raw={"uri": "../raw/things/{partition}.csv", "format": "json"}))
    lines = [
        '{"at": "2026-01-01T10:00:00Z", "key": "a", "value": 5, "ratio": 0.5, "flag": true, "extra": [1]}',
        '{"at": "2026-01-01T10:00:00Z", "key": "b", "value": "x"}',
        "not json",
        "[1, 2]",
    ]
    project.drop("things", key_of(1), "\n".join(lines))
    rows = checked(project, spark, "things", key_of(1))
    assert sorted((row["key"] or "", row["value"], tuple(row["_reasons"])) for row in rows)[-2:] == [
        ("a", 5, ()),
        ("b", None, ("wrong_type:value",)),
    ]
    assert sum("malformed" in row["_reasons"] for row in rows) == 2


def test_parquet_types(project: Project, spark: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    project.write_source(things(raw={"uri": "../raw/things/{partition}.parquet", "format": "parquet"}))
    moment = 1_767_261_600_123_456_789  # 2026-01-01T10:00:00.123456789Z
    tables = {
        1: {
            "key": pa.array([1, 2], pa.int64()),
            "value": pa.array([5.0, 5.5]),
            "small": pa.array([1, 2**40]),
            "ratio": pa.array([0.5, float("inf")]),
            "word": pa.array(["no", None]).dictionary_encode(),
            "flag": pa.array([True, None]),
            "blob": pa.array([b"x", None]),
            "at": pa.array([moment, moment], pa.timestamp("ns", "UTC")),
        },
        2: {
            "key": pa.array(["a"]),
            "value": pa.array([[1]]),
            "small": pa.array([True]),
            "ratio": pa.array([1], pa.int32()),
            "word": pa.array(["yes"]),
            "flag": pa.array([1]),
            "blob": pa.array([7]),
            "at": pa.array([moment + 86_400 * 10**9], pa.timestamp("ns")),
            "_partition": pa.array(["mine"]),
        },
    }
    for number, columns in tables.items():
        path = project.drop("things", key_of(number), b"").with_suffix(".parquet")
        pq.write_table(pa.table(columns), path)
    rows = {row["key"]: row for row in checked(project, spark, "things", key_of(1), key_of(2))}
    assert rows["1"]["_reasons"] == []
    assert (rows["1"]["value"], rows["1"]["word"], bytes(rows["1"]["blob"])) == (5, "no", b"x")
    assert rows["1"]["_event"].microsecond == 123456
    too_much = {"above_max:ratio", "not_finite:ratio", "wrong_type:small", "wrong_type:value"}
    assert {*rows["2"]["_reasons"]} == too_much
    wrong = {"wrong_type:blob", "wrong_type:flag", "wrong_type:small", "wrong_type:value", "above_max:ratio"}
    assert {*rows["a"]["_reasons"]} == wrong
    assert rows["a"]["_event"].day == 2


def test_rows_selected_by_a_time_column_are_checked_like_those_of_a_file(project: Project) -> None:
    raw = {"uri": "../raw/things/all.csv", "time_column": "at", "options": {"sep": ";", "nullValue": "NA"}}
    event = {"column": "at", "zone": "Europe/Berlin", "format": "dd.MM.yyyy HH:mm"}
    project.write_source(things(raw=raw, event_timestamp=event))
    rest = "0,5;NA;true;NA"
    lines = [f"00{n};{n};1;{rest};{time}" for n, time in enumerate(["02.01.2026 00:59", "02.01.2026 01:00"])]
    project.drop("things", "all", "\n".join([HEADER.replace(",", ";").strip(), *lines, ""]))
    manifest = project.run("things", key_of(1), key_of(2))
    staged_rows = {key: found.staged for key, found in manifest.partitions.items()}
    assert staged_rows == {key_of(1): 1, key_of(2): 1}
    assert manifest.partitions[key_of(2)].reasons == {"wrong_type:ratio": 1}
    [row] = rows_of(project, "quarantine", 2)
    assert json.loads(row["raw"])["key"] == "001"
    assert "word" not in json.loads(row["raw"])


def test_hostile_partition_keys_are_no_keys(project: Project) -> None:
    from provender.errors import PartitionError

    project.write_source(things())
    for key in ("../../x", "2026-01-01/..", "{partition}", "2026-01-01; rm -rf /", "2026-1-1", ""):
        with pytest.raises(PartitionError):
            project.run("things", key)
    assert not Path(project.folder / "storage").exists()

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provender.errors import SpecError
from provender.specs.loader import load_source
from tests.specs.conftest import SPEC

Write = Callable[..., Path]
Problems = Callable[..., list[str]]


def test_a_correct_spec_becomes_a_source(write: Write) -> None:
    source = load_source(write())
    assert source.name == "trips"
    assert source.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert source.lateness == timedelta(days=2)
    assert [feature.name for feature in source.features_of(source.table("rows"))] == ["city", "fare"]
    assert [key.type for key in source.keys_of(source.table("per_city"))] == ["STRING"]


@pytest.mark.parametrize(
    "start",
    [
        "2026-01-01",
        '"2026-01-01"',
        "2026-01-01T00:00:00Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01T02:00:00+02:00",
    ],
)
def test_a_start_is_a_date_or_a_moment_with_its_offset(write: Write, start: str) -> None:
    assert load_source(write("2026-01-01", start)).start == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_byte_order_mark_is_no_part_of_the_spec(write: Write) -> None:
    path = write("name", "\ufeffname")
    assert load_source(path).name == "trips"


ONE_PROBLEM = {
    "misspelt key": (
        ("lateness: 2d", "latness: 2d"),
        "trips.yaml:10: unknown key 'latness'; did you mean 'lateness'?",
    ),
    "misspelt required key, once": (
        ("owner:", "ownr:"),
        "trips.yaml:3: unknown key 'ownr'; did you mean 'owner'?",
    ),
    "missing key": (("owner: travel\n", ""), "trips.yaml:1: owner is missing; add owner: <the team"),
    "misspelt nested key": (
        ("{name: city, type", "{name: city, typ"),
        "trips.yaml:15: unknown key 'typ' in columns[1]; did you mean 'type'?",
    ),
    "misspelt type": (
        ("fare, type: DOUBLE", "fare, type: DUBLE"),
        "trips.yaml:16: columns[2].type: 'DUBLE' is not a choice; did you mean 'DOUBLE'?",
    ),
    "misspelt cadence": (
        ("cadence: daily", "cadence: dayly"),
        "trips.yaml:5: cadence: 'dayly' is not a choice; did you mean 'daily'?",
    ),
    "text for a number": (
        ("min: 0,", "min: '0',"),
        "trips.yaml:16: columns[2].min: got '0'; write a number",
    ),
    "yes is a boolean": (
        ("owner: travel", "owner: yes"),
        "trips.yaml:3: owner: got 'yes'; write text (quote it)",
    ),
    "a list for keys": (
        ("raw:\n  uri: ../raw/trips/{partition}.csv\n  options: {nullValue: NA}", "raw: [x]"),
        "trips.yaml:7: raw: got a list; write keys with values",
    ),
    "text for a list": (("tags: [demo]", "tags: demo"), "trips.yaml:4: tags: got 'demo'; write a list"),
    "nothing": (("owner: travel", "owner:"), "trips.yaml:3: owner: got nothing; write text (quote it)"),
    "a float option": (
        ("{nullValue: NA}", "{nullValue: 1.5}"),
        "trips.yaml:9: raw.options.nullValue: got '1.5'; write text (quote it)",
    ),
    "unknown option": (
        ("{nullValue: NA}", "{nulValue: NA}"),
        "trips.yaml:9: raw.options: unknown csv option 'nulValue'; did you mean 'nullValue'?",
    ),
    "a bare number as a duration": (
        ("lateness: 2d", "lateness: 2"),
        "trips.yaml:10: lateness: '2' is not a duration; write it like 90s, 2h, 3d or 1d 12h",
    ),
    "a sexagesimal number as a duration": (
        ("lateness: 2d", "lateness: 1:30"),
        "trips.yaml:10: lateness: '1:30' is not a duration; write it like",
    ),
    "an endless duration": (
        ("lateness: 2d", "lateness: 99999999999999d"),
        "trips.yaml:10: lateness: '99999999999999d' is too long",
    ),
    "a negative duration": (
        ("lateness: 2d", "lateness: -2d"),
        "trips.yaml:10: lateness: '-2d' is not a duration",
    ),
    "not a date": (
        ("2026-01-01", "2026-02-30"),
        "trips.yaml:6: start: '2026-02-30' is not a date or a UTC moment",
    ),
    "a moment without offset": (
        ("2026-01-01", "2026-01-01 00:00:00"),
        "trips.yaml:6: start: '2026-01-01 00:00:00' is not a date or a UTC moment",
    ),
    "start inside a partition": (
        ("2026-01-01", "2026-01-01T05:00:00Z"),
        "trips.yaml:6: start: 2026-01-01T05:00:00.000000Z is not a boundary of daily partitions; "
        "write 2026-01-01T00:00:00.000000Z",
    ),
    "a week that starts on a Thursday": (
        ("cadence: daily", "cadence: weekly"),
        "trips.yaml:6: start: 2026-01-01T00:00:00.000000Z is not a boundary of weekly partitions; write",
    ),
    "end before start": (("lateness", "end: 2025-12-31\nlateness"), "trips.yaml:10: end: not after start"),
    "name is not the file's": (
        ("name: trips", "name: trip"),
        "trips.yaml:1: the name 'trip' is not the file's, 'trips'; rename the file to trip.yaml",
    ),
    "event column that is none": (
        ("{column: at}", "{column: att}"),
        "trips.yaml:11: event_timestamp.column: 'att' is not among the columns; did you mean 'at'?",
    ),
    "created column that is none": (
        ("{column: made,", "{column: mad,"),
        "trips.yaml:12: created_timestamp.column: 'mad' is not among the columns; did you mean 'made'?",
    ),
    "created is the event column": (
        ("{column: made,", "{column: at,"),
        "trips.yaml:12: created_timestamp.column: the same as the event timestamp's",
    ),
    "event column of another type": (
        ("{name: at, type: TIMESTAMP", "{name: at, type: INT64"),
        "trips.yaml:11: event_timestamp.column: the column 'at' has type INT64; give it type TIMESTAMP",
    ),
    "misspelt zone": (
        ("{column: at}", "{column: at, zone: Europe/Berln}"),
        "trips.yaml:11: event_timestamp.zone: no time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
    ),
    "a path for a zone": (
        ("{column: at}", "{column: at, zone: ../../etc/passwd}"),
        "trips.yaml:11: event_timestamp.zone: no time zone '../../etc/passwd'; write an IANA name",
    ),
    "misspelt format": (
        ("format: epoch_ms", "format: epoch_mss"),
        "trips.yaml:12: created_timestamp.format: 'epoch_mss' is not a format; did you mean 'epoch_ms'?",
    ),
    "a Python format": (
        ("format: epoch_ms", "format: '%Y-%m-%d'"),
        "trips.yaml:12: created_timestamp.format: '%Y-%m-%d' is not a format; write iso, epoch_s",
    ),
    "key that is no column": (
        ("keys: [driver]", "keys: [drivr]"),
        "trips.yaml:21: tables[0].keys[0]: the entity key 'drivr' is no column; did you mean 'driver'?",
    ),
    "key of a derived table that is no column": (
        ("keys: [city]", "keys: [zone]"),
        "trips.yaml:23: tables[1].keys[0]: the entity key 'zone' is no column; give it a name and a type",
    ),
    "key of a type Feast has no keys of": (
        ("keys: [driver]", "keys: [fare]"),
        "trips.yaml:21: tables[0].keys[0]: the entity key 'fare' has type DOUBLE; entity keys are INT32",
    ),
    "the same key twice": (
        ("keys: [driver]", "keys: [driver, driver]"),
        "trips.yaml:21: tables[0].keys[1]: 'driver' is there already; remove one of them",
    ),
    "two tables with a name": (
        ("name: per_city", "name: rows"),
        "trips.yaml:22: tables[1].name: 'rows' is there already (as 'rows'); rename or remove one of them",
    ),
    "two columns that Spark cannot tell apart": (
        ("{name: fare,", "{name: DRIVER,"),
        "trips.yaml:16: columns[2].name: 'DRIVER' is there already (as 'driver')",
    ),
    "reserved column": (
        ("{name: fare,", "{name: period,"),
        "trips.yaml:16: columns[2].name: 'period' is reserved for the feature tables' own columns",
    ),
    "reserved feature": (
        ("{name: trips, type", "{name: deleted, type"),
        "trips.yaml:26: tables[1].features[0].name: 'deleted' is reserved",
    ),
    "reserved prefix": (
        ("{name: fare,", "{name: _fare,"),
        "trips.yaml:16: columns[2].name: '_fare' is not a column name: letters, digits and _, starting",
    ),
    "a feature that is the key": (
        ("{name: trips, type: INT64}", "{name: trips, type: INT64}\n      - {name: city, type: STRING}"),
        "trips.yaml:27: tables[1].features[1].name: the key 'city' is a raw column with a type already",
    ),
    "chosen column that is none": (
        ("keys: [driver]", "keys: [driver]\n    columns: [fair]"),
        "trips.yaml:22: tables[0].columns[0]: 'fair' is no raw column; did you mean 'fare'?",
    ),
    "no feature left": (
        ("keys: [driver]", "keys: [driver]\n    columns: [driver, at]"),
        "trips.yaml:20: tables[0]: no column is left to be a feature",
    ),
    "derived without features": (
        ("    features:\n      - {name: trips, type: INT64}\n", ""),
        "trips.yaml:22: tables[1]: a derived table needs 'features': the names and types its SQL gives",
    ),
    "missing SQL file": (
        ("trips_city.sql", "trips_citi.sql"),
        "trips.yaml:24: tables[1].sql: there is no file trips_citi.sql beside the spec; did you mean",
    ),
    "SQL file elsewhere": (
        ("sql: trips_city.sql", "sql: ../../secret.sql"),
        "trips.yaml:24: tables[1].sql: '../../secret.sql' is not the plain name of a .sql file",
    ),
    "min over max": (
        ("min: 0, max: 1000", "min: 10, max: 1"),
        "trips.yaml:16: columns[2]: min 10 is greater than max 1; swap them",
    ),
    "bound that is no number": (
        ("min: 0, max: 1000", "max: .nan"),
        "trips.yaml:16: columns[2].max: nan is no value of DOUBLE",
    ),
    "bound past the type": (
        ("fare, type: DOUBLE, min: 0, max: 1000", "fare, type: INT32, max: 3000000000"),
        "trips.yaml:16: columns[2].max: 3000000000 is no value of INT32",
    ),
    "bound on text": (
        ("city, type: STRING, allowed: [NYC, BOS]", "city, type: STRING, min: 3"),
        "trips.yaml:15: columns[1].min: means nothing for a column of type STRING",
    ),
    "allowed on a number": (
        ("fare, type: DOUBLE, min: 0, max: 1000", "fare, type: DOUBLE, allowed: ['1']"),
        "trips.yaml:16: columns[2].allowed: means nothing for a column of type DOUBLE",
    ),
    "share over one": (
        ("lateness", "violations: {max_share: 5}\nlateness"),
        "trips.yaml:10: violations.max_share: got '5'; it should be less than or equal to 1",
    ),
    "a key given twice": (
        ("lateness: 2d", "owner: other"),
        "trips.yaml:10: the key 'owner' is given twice (first in line 3); keep one of them",
    ),
    "uri with an unknown placeholder": (
        ("{partition}.csv", "{partitoin}.csv"),
        "trips.yaml:8: raw.uri: unknown placeholder {partitoin}; did you mean 'partition'?",
    ),
    "uri that reaches into objects": (
        ("{partition}.csv", "{partition.__class__}.csv"),
        "trips.yaml:8: raw.uri: unknown placeholder {partition.__class__}",
    ),
    "uri without placeholder": (
        ("{partition}.csv", "all.csv"),
        "trips.yaml:8: raw.uri: no placeholder, so nothing says which rows belong to a partition",
    ),
    "uri that is the same for two partitions": (
        ("{partition}.csv", "{start:%Y-%m}.csv"),
        "trips.yaml:8: raw.uri: partitions 2020-01-06 and 2020-01-07 would read the same files",
    ),
    "a python tag": (
        ("owner: travel", "owner: !!python/object/apply:os.system [id]"),
        "trips.yaml:3: the tag python/object/apply:os.system is not allowed",
    ),
    "an online ttl of nothing": (
        ("keys: [driver]", "keys: [driver]\n    online_ttl: 0"),
        "trips.yaml:22: tables[0].online_ttl: nothing would live online",
    ),
}


@pytest.mark.parametrize("case", ONE_PROBLEM)
def test_a_problem_is_one_line_with_file_line_and_remedy(problems: Problems, case: str) -> None:
    replacements, expected = ONE_PROBLEM[case]
    found = problems(*replacements)
    assert any(line.startswith(expected) for line in found), found
    assert len(found) == (2 if case == "a python tag" else 1), found


def test_everything_wrong_is_said_in_one_go(problems: Problems) -> None:
    found = problems(
        *("lateness: 2d", "latness: 2d"),
        *("owner: travel\n", ""),
        *("fare, type: DOUBLE", "fare, type: DUBLE"),
        *("{column: at}", "{column: att}"),
        *("keys: [driver]", "keys: [drivr]"),
        *("sql: trips_city.sql", "sql: gone.sql"),
    )
    assert [line.split(":")[1] for line in found] == ["1", "9", "10", "15", "20", "23"]


def test_a_taken_name_is_told_from_a_wrong_file_name(write: Write, problems: Problems) -> None:
    write()
    assert problems(file="journeys.yaml") == [
        "journeys.yaml:1: the name 'trips' is that of trips.yaml; write name: journeys"
    ]


def test_a_key_that_only_the_sql_knows_has_its_type_under_features(write: Write) -> None:
    path = write(
        "keys: [city]",
        "keys: [zone]",
        "- {name: trips,",
        "- {name: zone, type: STRING}\n      - {name: trips,",
    )
    source = load_source(path)
    table = source.table("per_city")
    assert [(key.name, key.type) for key in source.keys_of(table)] == [("zone", "STRING")]
    assert [feature.name for feature in source.features_of(table)] == ["trips"]


def test_a_timestamp_column_may_keep_its_raw_type(write: Write) -> None:
    assert load_source(write("{name: made, type: TIMESTAMP}", "{name: made, type: INT64}"))
    assert load_source(write("{name: at, type: TIMESTAMP", "{name: at, type: STRING"))


def test_the_sources_own_timestamp_columns_may_have_the_reserved_names(write: Write) -> None:
    assert load_source(
        write("{column: at}", "{column: event_timestamp}", "name: at,", "name: event_timestamp,")
    )


HOSTILE_NAMES = [
    "../x",
    "a;b",
    "a b",
    "'; DROP TABLE x --",
    "=cmd()",
    "a\\u0000b",
    "A",
    "é",
    "a" * 64,
    "a\\nb: c",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_refused_on_one_printable_line(problems: Problems, name: str) -> None:
    for line in problems("name: trips", f'name: "{name}"'):
        assert line.startswith("trips.yaml:1: ")
        assert line.isprintable()


BAD_FILES = {
    "not YAML": (b"name: [trips\nowner: x", 2, "not YAML"),
    "empty": (b"", 1, "not a spec"),
    "a list": (b"- a\n", 1, "not a spec"),
    "two documents": (b"name: a\n---\nname: b\n", 2, "not YAML"),
    "latin-1": (b"name: a\nowner: caf\xe9\n", 2, "not UTF-8"),
    "control characters": (b"name: a\x00b\n", 1, "not YAML"),
    "an alias to itself": (b"name: &a [*a]\n", 1, "values nested or repeated"),
    "a YAML bomb": (
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 10)) for n in range(98, 105)),
        1,
        "values nested or repeated",
    ),
    "keys that are no text": (b"1: a\n", 1, "the key '1' is not plain text"),
    "a key that is a list": (b"? [a]\n: b\n", 1, "the key here is not plain text"),
    "a merge key": (b"a: &a {x: 1}\nb:\n  <<: *a\n", 3, "the key '<<' is not plain text"),
    "too large": (b"#" * 1_000_001, 1, "too large"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_spec_says_where(repo: Path, case: str) -> None:
    content, line, expected = BAD_FILES[case]
    path = repo / "sources" / "trips.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_source(path)
    assert any(f":{line}: {expected}" in problem for problem in str(caught.value).splitlines())


def test_a_missing_file_is_a_spec_error(repo: Path) -> None:
    with pytest.raises(SpecError, match="trips.yaml:1: cannot be read: No such file"):
        load_source(repo / "sources" / "trips.yaml")


def test_every_single_line_removed_or_garbled_is_an_error_with_a_place_or_still_a_source(repo: Path) -> None:
    path = repo / "sources" / "trips.yaml"
    lines = SPEC.splitlines(keepends=True)
    for position in range(len(lines)):
        for garbled in (
            "",
            lines[position].replace(": ", ":: "),
            "  {[\n",
            lines[position].upper(),
            "~: 1\n",
        ):
            path.write_text("".join([*lines[:position], garbled, *lines[position + 1 :]]))
            try:
                load_source(path)
            except SpecError as error:
                assert all(line.startswith(f"{path}:") for line in str(error).splitlines())

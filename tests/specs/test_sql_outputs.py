"""What can be said of a query from its text: names, grouping, outputs and types."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provender.specs.loader import load_source
from provender.specs.source import Source
from provender.specs.sql import as_checked, problems
from provender.specs.sql_outputs import Found, entity_findings, table_findings
from tests.specs.sql_corpus import FITTING, HOSTILE, REPEATABLE, UNFIT, WRONG

Write = Callable[..., Path]
FILE = Path("trips_city.sql")


@pytest.fixture
def source(write: Write) -> Source:
    return load_source(write())


def found_in(source: Source, sql: str) -> Found:
    return table_findings(sql, source, source.table("per_city"), FILE)


@pytest.mark.parametrize(("sql", "words"), HOSTILE)
def test_what_is_not_known_to_be_safe_and_repeatable_is_refused(sql: str, words: str) -> None:
    [problem] = problems(sql, "trips", FILE)
    assert words in problem.what


@pytest.mark.parametrize("sql", REPEATABLE)
def test_what_has_an_order_of_its_own_is_allowed(sql: str) -> None:
    assert problems(sql, "trips", FILE) == []
    assert "--" not in as_checked(sql)


@pytest.mark.parametrize(("sql", "line", "words"), WRONG)
def test_a_name_that_cannot_be_is_one_problem_with_its_line(
    source: Source, sql: str, line: int, words: str
) -> None:
    [problem] = found_in(source, sql).problems
    assert words in str(problem) and problem.line == line


@pytest.mark.parametrize(("sql", "words"), UNFIT)
def test_outputs_that_the_spec_does_not_declare_are_one_problem(source: Source, sql: str, words: str) -> None:
    [problem] = found_in(source, sql).problems
    assert words in str(problem)


@pytest.mark.parametrize("sql", FITTING)
def test_a_query_that_fits_has_neither_problems_nor_warnings(source: Source, sql: str) -> None:
    assert found_in(source, sql) == Found()


def test_decimals_that_lose_digits_and_fractions_in_whole_numbers_are_warned_of(write: Write) -> None:
    double = load_source(write("{name: trips, type: INT64}", "{name: trips, type: DOUBLE}"))
    sql = "SELECT city, avg(CASE WHEN fare > 1 THEN 1.0 ELSE 0.0 END) AS trips FROM trips GROUP BY city"
    [warning] = found_in(double, sql).warnings
    assert "is DECIMAL(6,5): digits after the 5th are rounded away" in warning.what
    for exact in ("1D", "CAST(1 AS DOUBLE)", "1"):
        assert found_in(double, sql.replace("1.0", exact).replace("0.0", "0")) == Found()
    assert found_in(double, sql.replace("1.0", "CAST(1 AS DECIMAL(9, 4))")).warnings == []
    whole = load_source(write())
    sql = "SELECT city, avg(fare) AS trips FROM trips GROUP BY city"
    [warning] = found_in(whole, sql).warnings
    assert "'trips' is DOUBLE, and INT64 is declared" in warning.what
    assert found_in(whole, sql.replace("avg(fare)", "round(avg(fare))")) == Found()
    boolean = load_source(write("{name: trips, type: INT64}", "{name: trips, type: BOOL}"))
    [problem] = found_in(boolean, sql).problems
    assert "write a comparison (trips > 0)" in problem.remedy


def test_entity_rows_need_a_time_and_what_is_asked_for(source: Source) -> None:
    def lines(sql: str) -> list[str]:
        return [
            str(each) for each in entity_findings(sql, source, {"driver": "?", "late": "?"}, FILE).problems
        ]

    assert lines("SELECT driver, at AS event_timestamp, fare > 9 AS late, city FROM trips") == []
    [no_label] = lines("SELECT driver, at AS event_timestamp FROM trips")
    assert "the query does not return column 'late'" in no_label
    [no_time] = lines("SELECT driver, fare AS event_timestamp, true AS late FROM trips")
    assert "'event_timestamp' is DOUBLE, which is no time" in no_time
    [unknown] = lines("SELECT driver, at AS event_timestamp, fair > 9 AS late FROM trips")
    assert "did you mean 'fare'?" in unknown


def test_a_large_query_is_looked_at_in_less_than_a_second(source: Source) -> None:
    columns = ", ".join(f"sum(CASE WHEN fare > {n} THEN fare * {n} END) AS c{n}" for n in range(300))
    began = time.process_time()
    found_in(source, f"SELECT city, count(*) AS trips, {columns} FROM trips GROUP BY city")
    assert time.process_time() - began < 3

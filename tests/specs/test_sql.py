"""What the SQL of a table may say, and how it is rewritten; that the rewriting is right shows on Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from provender.errors import SqlError
from provender.intervals import Cadence
from provender.specs.sql import per_slice, problems

SLICED = {
    "a group": (
        "SELECT city, count(*) AS n FROM trips GROUP BY city",
        "SELECT city, count(*) AS n, trips._slice AS _slice, max(trips._created) AS _created "
        "FROM trips GROUP BY city, trips._slice",
    ),
    "plain rows": (
        "SELECT city, fare * 2 AS twice FROM trips WHERE fare > 1",
        "SELECT city, fare * 2 AS twice, trips._slice AS _slice, trips._created AS _created "
        "FROM trips WHERE fare > 1",
    ),
    "positions keep their meaning": (
        "SELECT city, count(*) FROM trips GROUP BY 1 ORDER BY 2",
        "SELECT city, count(*), trips._slice AS _slice, max(trips._created) AS _created "
        "FROM trips GROUP BY 1, trips._slice ORDER BY 2",
    ),
    "GROUP BY ALL finds the slice by itself": (
        "SELECT city, max(fare) AS m FROM trips GROUP BY ALL",
        "SELECT city, max(fare) AS m, trips._slice AS _slice, max(trips._created) AS _created "
        "FROM trips GROUP BY ALL",
    ),
    "a window": (
        "SELECT city, sum(fare) OVER (PARTITION BY city ORDER BY at) AS s FROM trips AS t",
        "SELECT city, sum(fare) OVER (PARTITION BY t._slice, city ORDER BY at) AS s, t._slice AS _slice, "
        "max(t._created) OVER (PARTITION BY t._slice, city) AS _created FROM trips AS t",
    ),
    "a named window": (
        "SELECT city, lag(fare) OVER w AS p FROM trips WINDOW w AS (ORDER BY at)",
        "SELECT city, lag(fare) OVER w AS p, trips._slice AS _slice, "
        "max(trips._created) OVER (PARTITION BY trips._slice) AS _created "
        "FROM trips WINDOW w AS (PARTITION BY trips._slice ORDER BY at)",
    ),
    "a join": (
        "SELECT a.city, b.n FROM trips AS a LEFT JOIN x AS b ON a.city = b.city OR b.n = 1",
        "SELECT a.city, b.n, a._slice AS _slice, greatest(a._created, b._created) AS _created "
        "FROM trips AS a LEFT JOIN x AS b ON a._slice = b._slice AND (a.city = b.city OR b.n = 1)",
    ),
    "a join by USING": (
        "SELECT city, n FROM trips JOIN x USING (city)",
        "SELECT city, n, trips._slice AS _slice, greatest(trips._created, x._created) AS _created "
        "FROM trips JOIN x USING (city, _slice)",
    ),
    "a comma": (
        "SELECT a.city FROM trips AS a, x AS b",
        "SELECT a.city, a._slice AS _slice, greatest(a._created, b._created) AS _created "
        "FROM trips AS a JOIN x AS b ON a._slice = b._slice",
    ),
    "everything": ("SELECT * FROM trips", "SELECT * FROM trips"),
    "an element of an array": (
        "SELECT array(1, 2)[0] AS one FROM trips",
        "SELECT array(1, 2)[0] AS one, trips._slice AS _slice, trips._created AS _created FROM trips",
    ),
}
WITH_X = "WITH x AS (SELECT city, 1 AS n FROM trips) "
SLICED_X = "WITH x AS (SELECT city, 1 AS n, trips._slice AS _slice, trips._created AS _created FROM trips) "


@pytest.mark.parametrize("case", SLICED)
def test_the_slice_joins_every_clause(case: str) -> None:
    sql, expected = SLICED[case]
    if " x " in sql:
        sql, expected = WITH_X + sql, SLICED_X + expected
    assert per_slice(sql, "trips") == expected


SLICE_BY_SLICE = [
    "SELECT DISTINCT city FROM trips",
    "SELECT city FROM trips ORDER BY city LIMIT 3",
    "SELECT count(*) FROM trips",
    "SELECT kurtosis(fare) AS k FROM trips",
    "SELECT 1 AS one FROM trips HAVING max(fare) > 1",
    "SELECT city, count(*) FROM trips GROUP BY city WITH ROLLUP",
    "SELECT city, count(*) FROM trips GROUP BY GROUPING SETS ((city), ())",
    "SELECT city FROM trips WHERE fare = (SELECT max(fare) FROM trips)",
    "SELECT city FROM trips WHERE city IN (SELECT city FROM trips)",
    "SELECT a.city FROM trips a RIGHT JOIN trips b ON a.city = b.city",
    "SELECT a.city FROM trips a FULL JOIN trips b ON a.city = b.city",
    "SELECT a.city FROM trips a LEFT SEMI JOIN trips b ON a.city = b.city",
    "SELECT * FROM trips a JOIN trips b ON a.city = b.city",
    "SELECT a.city FROM trips a NATURAL JOIN trips b",
    "SELECT city FROM trips UNION SELECT city FROM trips",
    "SELECT city FROM trips EXCEPT SELECT city FROM trips",
    "SELECT * FROM trips UNION ALL SELECT * FROM trips",
    "SELECT city, x FROM trips LATERAL VIEW explode(array(1, 2)) t AS x",
    "SELECT * EXCEPT (fare) FROM trips",
    "WITH a (x) AS (SELECT city FROM trips) SELECT x FROM a",
    "SELECT x FROM (SELECT city FROM trips) AS t (x)",
    "SELECT n FROM trips JOIN (VALUES (1)) AS v (n)",
]


@pytest.mark.parametrize("sql", SLICE_BY_SLICE)
def test_what_cannot_be_rewritten_is_legal_all_the_same(sql: str) -> None:
    assert per_slice(sql, "trips") is None


REFUSED = [
    ("SELECT city FROM trps", "reads another table: trps; did you mean 'trips'?"),
    ("SELECT city FROM other.trips", "reads another table: other.trips; read trips only"),
    ("SELECT * FROM trips JOIN parquet.`/etc/passwd` ON true", "reads another table: parquet.`/etc/passwd`"),
    ("SELECT id FROM range(10)", "reads the table function range()"),
    ("SELECT 1 AS one", "never reads trips; write FROM trips"),
    ("WITH trips AS (SELECT 1 AS a) SELECT a FROM trips", "never reads trips"),
    ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM trips) SELECT * FROM a", "reads another table: b"),
    ("SELECT window(at, '7 days') AS w, count(*) FROM trips GROUP BY 1", "window() makes windows over time"),
    (
        "SELECT session_window(at, '5 minutes'), count(*) FROM trips GROUP BY 1",
        "session_window() makes windows",
    ),
    (
        "SELECT sum(fare) OVER (ORDER BY at "
        "RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW) FROM trips",
        "a RANGE frame over an INTERVAL asks for rows of other periods",
    ),
    (
        "SELECT a.city FROM trips a JOIN trips b ON b.at >= a.at - INTERVAL 7 DAYS",
        "a join over INTERVAL '7' DAYS asks for rows of other periods; join inside the daily period",
    ),
    ("SELECT rand() AS r FROM trips", "rand() gives another answer each time"),
    ("SELECT uuid() AS r FROM trips", "uuid() gives another answer each time"),
    ("SELECT current_timestamp AS r FROM trips", "current_timestamp() gives another answer each time"),
    ("SELECT current_date() AS r FROM trips", "current_date() gives another answer each time"),
    ("SELECT now() AS r FROM trips", "now() gives another answer each time"),
    ("SELECT unix_timestamp() AS r FROM trips", "unix_timestamp() gives another answer each time"),
    ("SELECT monotonically_increasing_id() AS r FROM trips", "monotonically_increasing_id() gives another"),
    ("SELECT java_method('java.lang.Runtime', 'x') AS r FROM trips", "java_method() gives another"),
    ("SELECT * FROM trips TABLESAMPLE (10 PERCENT)", "TABLESAMPLE takes other rows each time"),
    ("SELECT city, first(fare) FROM trips GROUP BY city", "first() depends on the order in which rows"),
    ("SELECT city, any_value(fare) FROM trips GROUP BY city", "any_value() depends on the order"),
    ("SELECT _file FROM trips", "'_file' is a column of the platform's own"),
    ("SELECT city AS _slice FROM trips", "'_slice' is a column of the platform's own"),
    ("SELECT city FROM trips; DROP TABLE trips", "2 statements; write exactly one SELECT"),
    ("INSERT INTO trips SELECT 1", "INSERT is not a SELECT"),
    ("DROP TABLE trips", "DROP is not a SELECT"),
    ("SET spark.x = 1", "SET is not a SELECT"),
    ("", "0 statements"),
    ("SELECT 'a FROM trips", "not SQL"),
    ("SELECT (city FROM trips", "not SQL"),
]


@pytest.mark.parametrize(("sql", "expected"), REFUSED)
def test_what_a_table_may_not_say_is_refused_by_name(sql: str, expected: str) -> None:
    with pytest.raises(SqlError) as caught:
        per_slice(sql, "trips", path=Path("trips_city.sql"), cadence=Cadence.DAILY)
    lines = caught.value.what.splitlines()
    assert any(line.startswith(f"trips_city.sql:1: {expected}") for line in lines), lines


ALLOWED = [
    "SELECT city FROM trips;",
    "SELECT city, first_value(fare) OVER (PARTITION BY city ORDER BY at) AS f FROM trips",
    "SELECT city, unix_timestamp(at) AS s FROM trips",
    "SELECT a.city FROM trips a JOIN trips b ON b.at >= a.at - INTERVAL 1 HOUR",
    "SELECT city, at + INTERVAL 7 DAYS AS later FROM trips",
    "WITH trips AS (SELECT * FROM trips WHERE fare > 0) SELECT city FROM trips",
    "SELECT city FROM TRIPS",
    "-- rand() and now() in a comment\nSELECT 'now()' AS text FROM trips",
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_what_stays_inside_the_period_is_allowed(sql: str) -> None:
    assert problems(sql, "trips", Path("x.sql"), Cadence.DAILY) == []


def test_all_reasons_come_at_once_each_with_its_line() -> None:
    sql = "SELECT city,\n  rand() AS r,\n  now() AS n\nFROM trips\nJOIN other ON true\n"
    found = [str(problem).partition(";")[0] for problem in problems(sql, "trips", Path("x.sql"))]
    assert found == [
        "x.sql:5: reads another table: other",
        "x.sql:2: rand() gives another answer each time",
        "x.sql:3: now() gives another answer each time",
    ]


def test_a_syntax_error_names_its_line() -> None:
    [problem] = problems("SELECT city\nFROM trips\nWHERE (", "trips", Path("x.sql"))
    assert problem.line == 3


def test_functions_are_left_as_they_are_written() -> None:
    sql = (
        "SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY fare), Try_Divide(1, 0) FROM trips GROUP BY city"
    )
    rewritten = per_slice(sql, "trips")
    assert rewritten is not None
    assert "percentile_cont(0.9) WITHIN GROUP (ORDER BY fare)" in rewritten
    assert "Try_Divide(1, 0)" in rewritten


def test_the_demos_queries_run_on_many_slices_at_once() -> None:
    folder = Path(__file__).parents[2] / "feature_defs" / "sources"
    for path in folder.glob("*.sql"):
        assert per_slice(path.read_text(), "flights", path=path, cadence=Cadence.DAILY)

"""The rewriting's one property: a query over many slices gives what it gives on each slice alone."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provender.specs.sql import per_slice

pytestmark = pytest.mark.spark

QUERIES = [
    "SELECT k, count(*) AS n, avg(v) AS m, percentile(v, 0.9) AS p, count_if(v > 2) / nullif(count(v), 0) "
    "AS s FROM t GROUP BY k",
    "SELECT k, upper(s) AS u, v::double AS d FROM t WHERE v IS NOT NULL AND s <=> 'a'",
    "SELECT * FROM t WHERE v BETWEEN 1 AND 3",
    "SELECT k, count(*) AS n FROM t GROUP BY 1 HAVING count(*) > 1 ORDER BY 2",
    "SELECT k, s, max(v) AS m FROM t GROUP BY ALL",
    "SELECT k, CASE WHEN v > 2 THEN 'x' ELSE s END AS b, count(DISTINCT v) AS n FROM t "
    "GROUP BY k, CASE WHEN v > 2 THEN 'x' ELSE s END",
    "SELECT id, k, sum(v) OVER (PARTITION BY k ORDER BY id) AS running, "
    "lag(v) OVER (ORDER BY id) AS before FROM t",
    "SELECT id, row_number() OVER w AS r, "
    "max(v) OVER (PARTITION BY k ORDER BY id ROWS 1 PRECEDING) AS m FROM t WINDOW w AS (ORDER BY id)",
    "SELECT k, rank() OVER (ORDER BY count(*) DESC, k) AS r FROM t GROUP BY k",
    "WITH total AS (SELECT k, sum(v) AS sv FROM t GROUP BY k) "
    "SELECT t.id, t.v / nullif(total.sv, 0) AS share FROM t JOIN total ON t.k = total.k",
    "WITH some AS (SELECT k, max(v) AS m FROM t WHERE v > 2 GROUP BY k) "
    "SELECT t.id, some.m FROM t LEFT JOIN some ON t.k = some.k AND some.m > 3",
    "SELECT id, a.v AS v FROM t a JOIN (SELECT k, min(v) AS v FROM t GROUP BY k) b USING (k)",
    "SELECT a.id AS i, b.id AS j FROM t a, t b WHERE a.k = b.k AND a.id < b.id",
    "SELECT a.id AS i, count(b.id) AS j FROM t a CROSS JOIN t b GROUP BY a.id",
    "SELECT k, sum(n) AS n FROM (SELECT k, s, count(*) AS n FROM t GROUP BY k, s) GROUP BY k",
    "SELECT k, count(*) AS n FROM t GROUP BY k UNION ALL SELECT s, count(*) FROM t GROUP BY s",
    "WITH t AS (SELECT * FROM t WHERE v > 1) SELECT k, count(*) AS n FROM t GROUP BY k",
    "SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY v) AS med, sum(v) FILTER (WHERE s = 'a') AS f, "
    "max_by(s, id) AS l FROM t GROUP BY k",
    "SELECT date_trunc('hour', at) AS h, count(*) AS n FROM t GROUP BY date_trunc('hour', at)",
    "SELECT k, max(n) OVER () AS top FROM (SELECT k, count(*) AS n FROM t GROUP BY k) AS g",
]
SLICES = ("d1|c0", "d1|c3", "d2|c0")
START = datetime(2026, 1, 1, tzinfo=UTC)
DDL = "id int, k string, s string, v int, at timestamp, _created timestamp, _slice string"


def _rows(seed: int) -> list[tuple[Any, ...]]:
    """Rows with nulls and ties, some of them in two slices."""
    draw = random.Random(seed)
    rows: list[tuple[Any, ...]] = []
    for number in range(draw.randint(1, 40)):
        at = START + timedelta(minutes=draw.randint(0, 300))
        values = (
            draw.choice(["x", "y", None]),
            draw.choice(["a", "b", None]),
            draw.choice([None, 1, 2, 3, 4]),
        )
        for name in draw.sample(SLICES, draw.choice([1, 1, 2])):
            rows.append((number, *values, at, at + timedelta(minutes=draw.randint(1, 9)), name))
    return rows


@pytest.mark.parametrize("sql", QUERIES)
def test_many_slices_at_once_equal_each_slice_alone(spark: Any, sql: str) -> None:
    rewritten = per_slice(sql, "t")
    assert rewritten is not None
    for seed in range(2):
        rows = _rows(seed)
        spark.createDataFrame(rows, DDL).createOrReplaceTempView("t")
        together = [row.asDict() for row in spark.sql(rewritten).collect()]
        assert all(row["_created"] is not None for row in together)
        for name in SLICES:
            expected = _alone(spark, sql, [row for row in rows if row[-1] == name])
            found = Counter(_values(row) for row in together if row["_slice"] == name)
            assert found == expected, (seed, name)
        assert {row["_slice"] for row in together} <= set(SLICES)


def test_the_created_time_is_the_newest_of_what_a_row_depends_on(spark: Any) -> None:
    rows = [(i, "xxy"[i], "a", i, START, START + timedelta(minutes=i), "d1|c0") for i in range(3)]
    spark.createDataFrame(rows, DDL).createOrReplaceTempView("t")
    created = {
        "SELECT k, count(*) AS n FROM t GROUP BY k": {"x": 1, "y": 2},
        "SELECT DISTINCT_K AS k FROM (SELECT k AS DISTINCT_K, v FROM t WHERE v <> 1)": {"x": 0, "y": 2},
        "SELECT a.k FROM t a JOIN t b ON b.id = 2": {"x": 2, "y": 2},
    }
    for sql, expected in created.items():
        found = spark.sql(per_slice(sql, "t") or "").collect()
        minutes = {
            row["k"]: (row["_created"].astimezone(UTC) - START) // timedelta(minutes=1) for row in found
        }
        assert minutes == expected, sql


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "feature_defs" / "sources").glob("*.sql"))
)
def test_spark_takes_the_demos_queries(spark: Any, path: Path) -> None:
    columns = "carrier string, origin string, dest string, dep_delay int, arr_delay int, dep_time int"
    rows = [("AA", "JFK", "LAX", 20, 10, 900, START, "d"), ("AA", "JFK", "LAX", None, None, None, START, "d")]
    frame = spark.createDataFrame(rows, f"{columns}, _created timestamp, _slice string")
    frame.createOrReplaceTempView("flights")
    [row] = spark.sql(per_slice(path.read_text(), "flights") or "").collect()
    assert (row["flights"], row["mean_dep_delay"], row["p90_dep_delay"]) == (2, 20.0, 20.0)
    assert (row["share_departed_late"], row["share_arrived_late"], row["share_cancelled"]) == (1.0, 0.0, 0.5)


def _alone(spark: Any, sql: str, rows: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    spark.createDataFrame(rows, DDL).createOrReplaceTempView("t")
    return Counter(_values(row.asDict()) for row in spark.sql(sql).collect())


def _values(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple((name, value) for name, value in sorted(row.items()) if name not in ("_slice", "_created"))

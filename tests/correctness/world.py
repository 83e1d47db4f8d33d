"""One source on the real platform, with the rows of many generated cases, and what the oracle says of it.

cases ─▶ raw files, day by day as the schedule says ─▶ stage, ingest (Spark) ─▶ logs ─▶ DuckDB, Spark, Redis
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from hypothesis import strategies as st

from provender.ledger import Job
from provender.online.views import AppliedView
from provender.point_in_time.duckdb_join import Lookup
from provender.point_in_time.rule import lookup
from provender.tables.feature_log import FeatureLog
from tests.correctness import oracle
from tests.correctness.cases import case_of, owned
from tests.correctness.engines import ENGINES
from tests.correctness.oracle import DAY, Delivery, RawRow
from tests.engine import Project

HOUR, MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)
STAMP = pa.timestamp("us", tz="UTC")
SUM_SQL = """SELECT key, sum(value) AS total, count(*) AS readings FROM {source}
GROUP BY key HAVING count(*) % 2 = 1"""
TABLES = {"latest": ("value",), "daily": ("total", "readings")}
DESIRED = {"latest": oracle.as_it_is, "daily": oracle.per_day}
EXPIRED = datetime(2026, 1, 2, 12, tzinfo=UTC)
"""Table ``latest`` does not keep rows online whose event timestamp is before this."""


def day(number: int) -> datetime:
    """The n-th day of 2026; 0 is the day before."""
    return datetime(2026, 1, 1, tzinfo=UTC) + (number - 1) * DAY


@dataclass(frozen=True)
class Placed:
    """A raw row, and in which delivery of the schedule (from 0) it comes."""

    delivery: int
    row: RawRow

    def __repr__(self) -> str:
        row = self.row
        created = f", created {row.created:%d. %H:%M:%S.%f}" if row.created else ""
        return f"delivery {self.delivery}: {row.key} at {row.event:%d. %H:%M:%S.%f}{created} = {row.value}"


Case = tuple[Placed, ...]


class Spread(tuple[Placed, ...]):
    """A case whose rows come in another order, dealt out over two files a day."""

    __slots__ = ()


EntityRows = list[tuple[str | None, datetime | None]]
"""(Key, t)."""


@dataclass(frozen=True)
class Schedule:
    """The days ingested in each step; a day that comes again is a new delivery of it."""

    source: str
    steps: tuple[tuple[int, ...], ...]
    has_created: bool
    """Whether the source has a created timestamp of its own."""
    materialized: tuple[int, ...] = ()
    """After which steps the online store is brought up to date; always after the last."""

    @property
    def days(self) -> list[int]:
        """Of each delivery."""
        return [number for step in self.steps for number in step]


@st.composite
def cases(draw: st.DrawFn, schedule: Schedule) -> Case:
    """Rows on few keys and few times, so that they meet: late, too late, copied, corrected, vanished, null."""
    placed: list[Placed] = []
    for at, number in enumerate(schedule.days):
        earlier = [p.row for p in placed if schedule.days[p.delivery] == number]
        kept = [row for row in earlier if draw(st.sampled_from([True, True, False]))]
        rows = [*kept, *draw(st.lists(_rows(schedule, number), max_size=3))]
        placed += [Placed(at, row) for row in rows]
    return tuple(placed)


def _rows(schedule: Schedule, number: int) -> st.SearchStrategy[RawRow]:
    lags = st.sampled_from([0, 0, 0, 1, 2, 3, -1])
    times = st.sampled_from([timedelta(0), HOUR, HOUR + MICROSECOND, DAY - MICROSECOND])
    values = st.sampled_from([None, 0, 1, 2, 3, 4, oracle.MOST + 1])
    gaps = st.sampled_from([timedelta(0), -HOUR, HOUR, DAY, 200 * DAY]) if schedule.has_created else st.none()
    return st.builds(
        lambda key, lag, time, value, gap: RawRow(
            key,
            day(number) - lag * DAY + time,
            value,
            None if gap is None else day(number) - lag * DAY + time + gap,
        ),
        st.sampled_from("ab"),
        lags,
        times,
        values,
        gaps,
    )


@dataclass(frozen=True)
class Reading:
    """One way of reading a table."""

    table: str
    ttl: timedelta = timedelta(0)
    step: int | None = None
    """As recorded by this step; None: as it is now."""


ALL_READINGS = [
    Reading(table, ttl, step)
    for table in TABLES
    for ttl in (timedelta(0), HOUR, DAY)
    for step in (None, 0, 1)
]
FEW_READINGS = [Reading(table, *way) for table in TABLES for way in ((DAY, None), (timedelta(0), 1))]


@dataclass
class World:
    """``run`` it first."""

    project: Project
    schedule: Schedule
    cases: Sequence[Case]
    ingests: list[list[Delivery]] = field(default_factory=list)
    recorded: list[datetime] = field(default_factory=list)
    """Of each step."""
    online: dict[int, dict[str, dict[str, oracle.State]]] = field(default_factory=dict)
    """After which step: table to key to what was online."""

    @property
    def name(self) -> str:
        return self.schedule.source

    def write_source(self) -> None:
        columns = [
            {"name": "key", "type": "STRING", "required": True},
            {"name": "value", "type": "INT64", "min": 0, "max": oracle.MOST},
            {"name": "at", "type": "TIMESTAMP"},
        ]
        sums = [{"name": "total", "type": "INT64"}, {"name": "readings", "type": "INT64"}]
        online_ttl = int((datetime.now(UTC) - EXPIRED).total_seconds())
        spec: dict[str, Any] = {
            "name": self.name,
            "owner": "tests",
            "cadence": "daily",
            "start": day(-30).date(),  # no row is of a day before it
            "delay": "1h",
            "lateness": "2d",
            "raw": {"uri": f"../raw/{self.name}/{{partition}}-*.csv"},
            "event_timestamp": {"column": "at"},
            "columns": columns,
            "violations": {"max_share": 1.0},
            "tables": [
                {"name": "latest", "keys": ["key"], "online_ttl": f"{online_ttl}s"},
                {"name": "daily", "keys": ["key"], "sql": f"{self.name}_daily.sql", "features": sums},
            ],
        }
        if self.schedule.has_created:
            columns.append({"name": "created", "type": "TIMESTAMP"})
            spec["created_timestamp"] = {"column": "created"}
        self.project.write_source(spec, **{f"{self.name}_daily": SUM_SQL.format(source=self.name)})

    @property
    def views(self) -> list[AppliedView]:
        return [
            AppliedView(
                f"{self.name}_{table}",
                self.name,
                table,
                {"key": "STRING"},
                dict.fromkeys(features, "INT64"),
                {},
            )
            for table, features in TABLES.items()
        ]

    def run(self, materialize: bool = True) -> None:
        """Delivers and ingests step by step."""
        first = 0
        for number, days in enumerate(self.schedule.steps):
            self._ingest(number, {n: first + i for i, n in enumerate(days)})
            first += len(days)
            is_last = number == len(self.schedule.steps) - 1
            if materialize and (is_last or number in self.schedule.materialized):
                self._materialize(number)

    def _ingest(self, number: int, deliveries: dict[int, int]) -> None:
        """``deliveries``: day to number of the delivery."""
        rows = {n: list(self._rows_of(at)) for n, at in deliveries.items()}
        for n in deliveries:
            self._drop(n, rows[n])
        keys = [f"{day(n):%Y-%m-%d}" for n in deliveries]
        manifest = self.project.run(self.name, *keys, attempt=f"{self.name}-{number}")
        staged = self.project.ledger(self.name).last(Job.STAGE)
        assert staged is not None and manifest.recorded_up_to is not None
        self.recorded.append(manifest.recorded_up_to)
        self.ingests.append(
            [
                Delivery(
                    day(n),
                    day(n + 1) + HOUR,
                    staged.partitions[key].delivered,
                    tuple(row for _, row in rows[n]),
                )
                for n, key in zip(deliveries, keys, strict=True)
            ]
        )

    def _rows_of(self, delivery: int) -> Iterator[tuple[int, RawRow]]:
        """(Case, row), and one more row that no two deliveries have in common: no file comes twice."""
        number = self.schedule.days[delivery]
        created = day(number) if self.schedule.has_created else None
        yield -1, RawRow("beacon", day(number), delivery, created)
        for case, placed in enumerate(self.cases):
            for one in placed:
                if one.delivery == delivery:
                    row = one.row
                    yield case, RawRow(owned(case, row.key), row.event, row.value, row.created)

    def _drop(self, number: int, rows: list[tuple[int, RawRow]]) -> None:
        """The day's two files."""
        spread_cases = {n for n, case in enumerate(self.cases) if isinstance(case, Spread)}
        plain = [row for case, row in rows if case not in spread_cases]
        spread = [row for case, row in rows if case in spread_cases]
        random.Random(number).shuffle(spread)
        folder = self.project.folder / "raw" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        for part, lines in (("a", plain + spread[::2]), ("b", spread[1::2])):
            text = "".join(
                f"{r.key},{'' if r.value is None else r.value},{r.event.isoformat()},"
                f"{r.created.isoformat() if r.created else ''}\n"
                for r in lines
            )
            (folder / f"{day(number):%Y-%m-%d}-{part}.csv").write_text("key,value,at,created\n" + text)

    def _materialize(self, number: int) -> None:
        from provender.materialization.run import materialize
        from tests.spark.online import online

        self.project.materialize_with(("duckdb", "spark")[number % 2])  # each goes on where the other ended
        materialize(self.project.settings, self.name, f"{self.name}-online-{number}")
        self.online[number] = {}
        for view in self.views:
            found = online(self.project, _Redis(self.project.settings.redis), view, self.keys)
            self.online[number][view.table] = {
                key: tuple(found[key][f] for f in TABLES[view.table]) if key in found else None
                for key in self.keys
            }

    @cached_property
    def keys(self) -> list[str]:
        """Of all cases; each has two."""
        return [f"{case}:{key}" for case in range(len(self.cases)) for key in "ab"]

    # What should be, and what is.

    @cached_property
    def logs(self) -> dict[str, oracle.Log]:
        """Per table what the oracle says that its log holds."""
        return {table: oracle.log_of(self.ingests, desire) for table, desire in DESIRED.items()}

    @cached_property
    def logs_by_key(self) -> dict[str, dict[str, list[oracle.Version]]]:
        return {table: oracle.by_key(log) for table, log in self.logs.items()}

    def expected_versions(self, table: str) -> dict[Any, Any]:
        return _versions(v for versions in self.logs[table].values() for v in versions)

    def found_versions(self, table: str) -> dict[Any, Any]:
        steps = {moment: number for number, moment in enumerate(self.recorded)}
        rows = DeltaTable(self.project.storage.uri(f"tables/{self.name}/{table}")).to_pyarrow_table()
        return _versions(
            row
            | {
                "recorded_timestamp": steps[row["recorded_timestamp"]],
                "state": None if row["deleted"] else tuple(row[f] for f in TABLES[table]),
            }
            for row in rows.to_pylist()
        )

    def expected_online(self, table: str, step: int) -> dict[str, oracle.State]:
        versions = oracle.by_key(oracle.log_of(self.ingests[: step + 1], DESIRED[table]))
        expired = EXPIRED if table == "latest" else None
        return {key: oracle.online(versions.get(key, []), key, expired) for key in self.keys}

    @cached_property
    def probes(self) -> EntityRows:
        """Entity rows: every key shortly before, at and shortly after every time that matters to it."""
        found: EntityRows = [(None, day(3)), ("nobody", day(3))]
        for key in self.keys:
            found += [(key, None), *[(key, moment) for moment in self.moments_of(key)]]
        random.Random(1).shuffle(found)
        return found

    def moments_of(self, key: str) -> list[datetime]:
        """Shortly before, at and shortly after every time that matters to a key."""
        versions = [v for log in self.logs_by_key.values() for v in log.get(key, [])]
        times = {v[f"{name}_timestamp"] for v in versions for name in ("event", "created")}
        times |= {v["event_timestamp"] + ttl for v in versions for ttl in (HOUR, DAY)}
        return sorted({t + gap for t in times for gap in (-MICROSECOND, timedelta(0), MICROSECOND)})

    def lookup(self, number: int, reading: Reading) -> Lookup:
        uri = self.project.storage.uri(f"tables/{self.name}/{reading.table}")
        up_to = self.recorded[-1 if reading.step is None else reading.step]
        outputs = {f"o{number}_{name}": name for name in TABLES[reading.table]}
        return Lookup(FeatureLog(uri), {"key": "key"}, outputs, reading.ttl, up_to)

    def expected_values(self, readings: Sequence[Reading], as_known: bool) -> dict[Any, oracle.State]:
        """By reading and entity row."""
        found = {}
        for reading in readings:
            for key, moment in self.probes:
                answer = lookup(
                    self.logs_by_key[reading.table].get(key or "", []),
                    {"key": key},
                    moment,
                    ttl=reading.ttl,
                    filter_by_created_timestamp=as_known,
                    recorded_up_to=reading.step,  # type: ignore[arg-type]
                )
                found[key, moment, reading] = answer and answer["state"]
        return found

    def found_values(
        self, rows: EntityRows, readings: Sequence[Reading], engine: str, as_known: bool
    ) -> dict[Any, oracle.State]:
        """By entity row and reading what an engine finds: all null where there is no version."""
        keys, times = zip(*rows, strict=True)
        entities = pa.table({"key": pa.array(keys, pa.string()), "t": pa.array(times, STAMP)})
        lookups = [self.lookup(*numbered) for numbered in enumerate(readings)]
        joined = ENGINES[engine](self.project.settings, entities, lookups, as_known)
        found = {}
        for number, reading in enumerate(readings):
            columns = [joined.column(f"o{number}_{name}").to_pylist() for name in TABLES[reading.table]]
            for (key, moment), *state in zip(rows, *columns, strict=True):
                found[key, moment, reading] = tuple(state)
        return found


def _versions(rows: Any) -> dict[Any, Any]:
    """(key, event, created, recorded) to state; beacons apart."""
    names = ("key", "event_timestamp", "created_timestamp", "recorded_timestamp")
    return {tuple(row[n] for n in names): row["state"] for row in rows if row["key"] != "beacon"}


def with_nulls(values: dict[Any, oracle.State], table_of: Any = lambda name: name[2].table) -> dict[Any, Any]:
    """Where there is no version, as many nulls as the table has features: all that a joined row can tell."""
    return {
        name: (None,) * len(TABLES[table_of(name)]) if state is None else state
        for name, state in values.items()
    }


def cases_in(names: Any) -> set[int]:
    """The cases that (key, …) names belong to."""
    keys = [name if isinstance(name, str) else name[0] for name in names]
    return {case_of(key) for key in keys if key and ":" in key}


@dataclass(frozen=True)
class _Redis:
    address: str

    def client(self) -> Any:
        import redis

        host, port = self.address.split(":")
        return redis.Redis(host=host, port=int(port))

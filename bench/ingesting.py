"""Ingest: against a plain read-and-write of the same file, a month against a day, a second run against the first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession

from bench.repos import flights_repo
from bench.results import Result, median, seconds
from provender.demo.raw import flights_by_day
from provender.ingestion.ingest import ingest
from provender.intervals import Partition, parse_range
from provender.ledger import Kind
from provender.settings import Settings
from provender.spark.session import spark_session
from provender.specs.catalog import Catalog
from provender.staging import stage
from provender.tables.types import DDL

_RUNS = 3
COPIES = 3
"""How often the year's flights are in the large file: about a million rows."""
FULL_COPIES = 297
"""100 million."""
MINIMUM_OF_PLAIN = 0.5
MONTH_LIMIT = 1.5
HISTORY_LIMIT = 1.2
"""A day must not cost more for the days before it."""


def run(folder: Path) -> list[Result]:
    """Ingests real flights on an engine of its own."""
    raw = folder / "raw"
    raw.mkdir()
    settings = flights_repo(folder / "ingesting", f"{raw}/{{partition}}.csv")
    with spark_session(settings, "bench-warm"):  # keeps the engine up between the measurements
        results = [_against_plain(settings, raw)]
        _write_days(raw)  # now: the large days had the names of four of them
        results += _month_against_day(settings)
    year = flights_repo(folder / "a-year", f"{raw}/{{partition}}.csv")
    with spark_session(year, "bench-warm"):
        return [*results, *_day_by_history(year)]


def run_full(folder: Path, copies: int = FULL_COPIES) -> list[Result]:
    """As :func:`run`, and one day of 100 million rows: about 9 GB of CSV, and as much again for Spark's shuffles."""
    results, raw = run(folder), folder / "raw"
    settings = flights_repo(folder / "large", f"{raw}/{{partition}}.csv")
    with spark_session(settings, "bench-warm"):
        large = _against_plain(settings, raw, copies, runs=1)
    million, rate = results[0], large.ours
    same = rate / million.ours
    linear = Result(
        f"{large.name}, beside a million",
        "rows/s",
        rate,
        million.ours,
        million.name,
        same,
        "no slower a row than 0.8",
        same >= 0.8,
        1,
    )
    return [*results, large, linear]


def _against_plain(settings: Settings, raw: Path, copies: int = COPIES, runs: int = _RUNS) -> Result:
    """One large file as a day's partition; alternately ours and plain, each time a new day, the first (unless
    there is only one) to warm the engine up."""
    rows = 0
    ours, plain = [], []
    first = 1 if runs > 1 else 0
    for number in range(runs + first):
        day = datetime(2013, 6, 1 + number, tzinfo=UTC)
        path = raw / f"{day:%Y-%m-%d}.csv"
        rows = _write_large(path, day, copies)
        ours.append(seconds(partial(_ingest, settings, f"{day:%Y-%m-%d}")))
        target = settings.storage_root + f"/plain/{number}"
        with spark_session(settings, f"bench-plain-{number}") as spark:
            plain.append(seconds(partial(_read_and_write, spark, settings, path, target)))
        path.unlink()
    ours_rate, plain_rate = rows / median(ours[first:]), rows / median(plain[first:])
    ratio = ours_rate / plain_rate
    target_text = f"at least {MINIMUM_OF_PLAIN:g} of plain"
    met = ratio >= MINIMUM_OF_PLAIN
    name = f"ingest {rows:,} flights"
    return Result(name, "rows/s", ours_rate, plain_rate, "Spark read, write", ratio, target_text, met, runs)


def _read_and_write(spark: SparkSession, settings: Settings, path: Path, target: str) -> None:
    """The least a hand-written job does: typed CSV in, Delta out. No contract, no features, no manifest."""
    source = Catalog.load(settings.repo).source("flights")
    schema = ", ".join(f"`{column.name}` {DDL[column.type]}" for column in source.columns)
    frame = spark.read.schema(schema).option("header", True).option("nullValue", "NA").csv(str(path))
    frame.write.format("delta").save(target)


def _month_against_day(settings: Settings) -> list[Result]:
    _ingest(settings, "2013-01-01")
    days = [seconds(partial(_ingest, settings, f"2013-01-0{number}")) for number in (2, 3, 4)]
    month = seconds(lambda: _ingest(settings, "2013-03-01..2013-03-30"))
    again = seconds(lambda: _ingest(settings, "2013-03-01..2013-03-30", expect=Kind.RECEIPT))
    day = median(days)
    ratio = month / day
    return [
        Result(
            "30 days in one application",
            "s",
            month,
            day,
            "one day",
            ratio,
            "at most 1.5 times",
            ratio <= 1.5,
            1,
        ),
        Result("the same 30 days again", "s", again, month, "first run", again / month, "no change", True, 1),
    ]


def _day_by_history(settings: Settings) -> list[Result]:
    """A day on top of 0, 30 and 360 days, each the median of :data:`_RUNS` days in a row; the days between in one
    application. The first days warm the engine up, in a table that is then as empty as on day 1."""
    _ingest(settings, "2013-12-31")
    measured = {}
    for first, before in ((1, None), (31, "4..30"), (361, "34..360")):
        if before is not None:
            start, end = before.split("..")
            _ingest(settings, f"{_day(int(start))}..{_day(int(end))}")
        measured[first] = median([seconds(partial(_ingest, settings, _day(first + n))) for n in range(_RUNS)])
    return [
        Result(
            f"day {first} of a year",
            "s",
            measured[first],
            measured[1],
            "day 1",
            measured[first] / measured[1],
            f"at most {HISTORY_LIMIT:g} times",
            measured[first] <= HISTORY_LIMIT * measured[1],
            _RUNS,
        )
        for first in (31, 361)
    ]


def _day(number: int) -> str:
    """The key of the n-th day of 2013."""
    return f"{datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=number - 1):%Y-%m-%d}"


def _ingest(settings: Settings, text: str, expect: Kind = Kind.MANIFEST) -> None:
    source = Catalog.load(settings.repo).source("flights")
    partitions: list[Partition] = parse_range(source.cadence, text)
    attempt = f"bench-{text}-{expect}"
    stage(settings, source, partitions, attempt)
    manifest = ingest(settings, "flights", partitions, attempt)
    if manifest.kind is not expect:
        raise RuntimeError(f"{text}: expected a {expect}, got a {manifest.kind}")


def _write_days(raw: Path) -> None:
    for key, text in flights_by_day().items():
        (raw / f"{key}.csv").write_text(text)


def _write_large(path: Path, day: datetime, copies: int) -> int:
    """The year's flights ``copies`` times, all moved to ``day`` (hour kept), in one file; returns its rows."""
    lines = "".join(text.split("\n", 1)[1] for text in flights_by_day().values()).splitlines()
    header = next(iter(flights_by_day().values())).split("\n", 1)[0]
    moved = "".join(f"{line[:-20]}{day:%Y-%m-%d}{line[-10:]}\n" for line in lines)
    with path.open("w") as file:
        file.write(f"{header}\n")
        for _ in range(copies):
            file.write(moved)
    return len(lines) * copies

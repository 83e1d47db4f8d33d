"""The point-in-time join of 3.6 million versions: Spark against its own shuffle and sort, DuckDB, and Feast's store.

All start with the entity rows in memory and end with the answer in memory, but the floor: it stages the same entity
rows, unites them with the same versions, shuffles by key, sorts by key and time, and throws the result away. Ours
and the floor take turns on one warm engine; the medians count.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore

from bench.joining_data import World, entity_rows, make_world
from bench.results import Result, median, seconds
from provender.engine_settings import Engine, EngineChoice
from provender.point_in_time.duckdb_join import Lookup
from provender.point_in_time.join import PointInTimeJoin
from provender.point_in_time.spark.plan import tasks_for
from provender.point_in_time.spark.run import SparkJoin
from provender.spark import server
from provender.spark.session import spark_session
from provender.storage import spark_path
from provender.tables.feature_log import FeatureLog

SIZES = (50_000, 500_000)
FULL_SIZES = (*SIZES, 5_000_000)
FLOOR_LIMIT = 1.3
NOTEBOOK_ROWS = 1_000
NOTEBOOK_SECONDS = 2.0
FEAST_ROWS = 500_000
"""The largest of 200 thousand, 500 thousand and a million at which Feast's Spark store ends within ten minutes on two
cores."""
FEAST_MINIMUM = 50.0
_FEAST_SECONDS = 600.0
_RUNS = 5
FEATURES = ["driver_day:f0", "driver_day:f1", "driver_day:f2"]


def run(folder: Path, sizes: tuple[int, ...] = SIZES) -> list[Result]:
    """Spark and DuckDB at ``sizes``, a notebook's call, and Feast's Spark store."""
    world = make_world(folder / "joining")
    results, ours = [_notebook(world)], {}
    with spark_session(world.settings, "bench-joining"):  # keeps the engine up between the measurements
        for size in sizes:
            found, ours[size] = _at(world, size)
            results += found
        ours.setdefault(FEAST_ROWS, _seconds_of(world, FEAST_ROWS, Engine.SPARK))
        chosen = _seconds_of(world, FEAST_ROWS, Engine.AUTO)
    return [*results, _linear(ours), *_feast(world, folder, {"Spark": ours[FEAST_ROWS], "as chosen": chosen})]


def _at(world: World, size: int) -> tuple[list[Result], float]:
    entities = entity_rows(size)
    spark, floor, duck = [], [], []
    for number in range(_RUNS + 1):
        floor.append(seconds(partial(_shuffle_and_sort, world, entities, f"{size}-{number}")))
        spark.append(seconds(_work(world, entities, Engine.SPARK).run))
        duck.append(seconds(_work(world, entities, Engine.DUCKDB).run))
    _check_equal(world, entities)
    least, ours, single = median(floor[1:]), median(spark[1:]), median(duck[1:])
    ratio, name = ours / least, f"join {size:,} entity rows"
    target = f"at most {FLOOR_LIMIT:g}" if size == max(SIZES) else ""
    met = ratio <= FLOOR_LIMIT or not target
    peer = "shuffle and sort"
    return [
        Result(f"{name}, Spark", "s", ours, least, peer, ratio, target, met, _RUNS),
        Result(f"{name}, DuckDB", "s", single, ours, "Spark", single / ours, "", True, _RUNS),
    ], ours


def _work(world: World, entities: pa.Table, engine: Engine) -> PointInTimeJoin:
    """As the offline store does it, from the log's first file listing on."""
    lookup = Lookup(FeatureLog(world.uri), {"driver": "driver"}, {"f0": "f0", "f1": "f1", "f2": "f2"})
    return PointInTimeJoin(
        world.settings, entities, "event_timestamp", [lookup], choice=EngineChoice(engine=engine)
    )


def _seconds_of(world: World, size: int, engine: Engine) -> float:
    entities = entity_rows(size)
    taken = [seconds(_work(world, entities, engine).run) for _ in range(_RUNS + 1)]
    return median(taken[1:])


def _shuffle_and_sort(world: World, entities: pa.Table, name: str) -> None:
    """The same rows: staged, united, shuffled by key, sorted by key and time."""
    staged: SparkJoin = _work(world, entities, Engine.SPARK).on_spark()
    rows = staged.stage(carry=False)
    with spark_session(world.settings, f"bench-floor-{name}") as spark:
        partitions = "spark.sql.shuffle.partitions"
        tasks = tasks_for(len(entities) + world.rows, int(spark.conf.get(partitions) or 1))
        spark.conf.set(partitions, str(tasks))
        versions = spark.read.format("delta").load(spark_path(world.uri)).drop("period")
        asked = spark.read.parquet(spark_path(rows.uri)).selectExpr(
            "row", "k0 AS driver", "timestamp_micros(at) AS event_timestamp"
        )
        united = versions.unionByName(asked, allowMissingColumns=True)
        placed = united.repartition("driver").sortWithinPartitions(
            "driver", "event_timestamp", "created_timestamp", "recorded_timestamp"
        )
        placed.write.format("noop").mode("overwrite").save()
    staged.clean()


def _check_equal(world: World, entities: pa.Table) -> None:
    spark = _work(world, entities, Engine.SPARK).run()
    if not spark.equals(_work(world, entities, Engine.DUCKDB).run()):
        raise RuntimeError("Spark and DuckDB do not give the same")


def _linear(ours: dict[int, float]) -> Result:
    """What ten times the entity rows cost on top: less than ten times the smaller join, if the cost is linear."""
    small, large = min(ours), max(ours)
    ratio, limit = ours[large] / ours[small], large / small
    name = f"join {large:,} rows against {small:,}"
    return Result(
        name,
        "s",
        ours[large],
        ours[small],
        f"{small:,}",
        ratio,
        f"under {limit:g} times",
        ratio < limit,
        _RUNS,
    )


def _notebook(world: World) -> Result:
    """A call through Feast, in a process that has imported it; the first one, with its cold registry."""
    frame = entity_rows(NOTEBOOK_ROWS).to_pandas()
    taken = [
        seconds(
            lambda: FeatureStore(str(world.settings.repo)).get_historical_features(frame, FEATURES).to_df()
        )
        for _ in range(_RUNS)
    ]
    target = f"under {NOTEBOOK_SECONDS:g} s"
    name = f"notebook, {NOTEBOOK_ROWS:,} entity rows through Feast"
    return Result(name, "s", max(taken), None, "", None, target, max(taken) < NOTEBOOK_SECONDS, _RUNS)


def _feast(world: World, folder: Path, ours: dict[str, float]) -> list[Result]:
    """Ours, by who joined, beside Feast's Spark store on the same rows."""
    rows = folder / "feast-entities.parquet"
    pq.write_table(entity_rows(FEAST_ROWS), rows)
    settings = world.settings
    jars = settings.state_dir / settings.spark.jars_dir
    cores = str(settings.spark.cores or os.cpu_count() or 2)
    command = [sys.executable, "-m", "bench.feast_spark", world.uri, str(rows), str(folder), str(jars)]
    output = _output([*command, cores, settings.spark.driver_memory], server.program_environment(settings))
    theirs = float(output.split("SECONDS")[1])
    peer, target = "Feast's Spark store", f"at least {FEAST_MINIMUM:g} times faster"
    return [
        Result(
            f"join {FEAST_ROWS:,} entity rows, {how}",
            "s",
            taken,
            theirs,
            peer,
            theirs / taken,
            target,
            theirs / taken >= FEAST_MINIMUM,
            1,
        )
        for how, taken in ours.items()
    ]


def _output(command: list[str], environment: dict[str, str]) -> str:
    """What the command prints. If it takes too long, it is ended with the JVM that it started."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=_FEAST_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise RuntimeError(f"Feast's Spark store failed: {' '.join(command)}")
    return output

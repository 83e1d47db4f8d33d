"""Feast's own Spark offline store on the same table and entity rows, in a process of its own.

    python -m bench.feast_spark TABLE_URI ENTITIES.parquet FOLDER JARS CORES MEMORY

Prints the seconds of one retrieval, to Arrow, on a Spark session that is warm: one of ten rows was done before.
"""

from __future__ import annotations

import sys
import warnings
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.table_format import DeltaFormat
from feast.types import Float32, Float64, Int32, Int64
from feast.value_type import ValueType
from pyspark.sql import SparkSession

from bench.results import seconds
from provender.spark.server import SESSION_CONF

FEATURES = ["driver_day:f0", "driver_day:f1", "driver_day:f2"]


def main() -> None:
    """See the module."""
    uri, entities, folder, jars, cores, memory = sys.argv[1:]
    warnings.simplefilter("ignore")
    _session(jars, cores, memory)
    store = _store(uri, Path(folder))
    rows = pd.read_parquet(entities)
    store.get_historical_features(rows.head(10), FEATURES).to_arrow()
    taken = seconds(lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    print(f"SECONDS {taken}")


def _session(jars: str, cores: str, memory: str) -> None:
    """The settings of the engine that it is compared with."""
    builder = SparkSession.builder.master(f"local[{cores}]").config("spark.driver.memory", memory)
    conf = {
        **SESSION_CONF,
        "spark.jars": ",".join(map(str, sorted(Path(jars).glob("*.jar")))),
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.log.level": "ERROR",
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC -Duser.timezone=UTC",
        "spark.sql.shuffle.partitions": "5",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.ansi.enabled": "false",
    }
    for name, value in conf.items():
        builder = builder.config(name, value)
    builder.getOrCreate()


def _store(uri: str, folder: Path) -> FeatureStore:
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "feast_spark.db"),
            offline_store={"type": "spark"},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
    source = SparkSource(
        name="drivers",
        path=uri,
        table_format=DeltaFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    schema = [("driver", Int64), ("f0", Float64), ("f1", Int32), ("f2", Float32)]
    fields = [Field(name=name, dtype=kind) for name, kind in schema]
    view = FeatureView(name="driver_day", entities=[driver], ttl=timedelta(0), schema=fields, source=source)
    store.apply([driver, source, view])
    return store


if __name__ == "__main__":
    main()

"""The implementations of the point-in-time join that are held to the oracle, by name."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from provender.point_in_time.engine import Lookup, join
from provender.settings import Settings

Join = Callable[[Settings | None, pa.Table, list[Lookup], bool], pa.Table]
"""(settings, entity rows with their time in column ``t``, lookups, as known at t) to the output columns."""


def in_duckdb(_: Settings | None, entities: pa.Table, lookups: list[Lookup], as_known: bool) -> pa.Table:
    return join(entities, "t", lookups, filter_by_created_timestamp=as_known)


def in_spark(
    settings: Settings | None, entities: pa.Table, lookups: list[Lookup], as_known: bool
) -> pa.Table:
    from provender.spark.join.run import SparkJoin

    assert settings is not None
    return SparkJoin(settings, lambda: [entities], "t", lookups, as_known).to_arrow()


ENGINES: dict[str, Join] = {"duckdb": in_duckdb, "spark": in_spark}
EVERY_ENGINE = pytest.mark.parametrize("engine", ["duckdb", pytest.param("spark", marks=pytest.mark.spark)])

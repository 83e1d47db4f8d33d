"""The implementations of the point-in-time join that are held to the oracle, by name."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from provender.point_in_time.duckdb_join import Lookup, join
from provender.settings import Settings

Join = Callable[[Settings | None, pa.Table, list[Lookup], bool], pa.Table]
"""(settings, entity rows with their time in column ``t``, lookups, as known at t) to the output columns."""


def in_duckdb(_: Settings | None, entities: pa.Table, lookups: list[Lookup], as_known: bool) -> pa.Table:
    return join(entities, "t", lookups, filter_by_created_timestamp=as_known)


def in_spark(
    settings: Settings | None, entities: pa.Table, lookups: list[Lookup], as_known: bool
) -> pa.Table:
    from provender.point_in_time.spark.run import SparkJoin

    assert settings is not None
    return SparkJoin(settings, lambda: [entities], "t", lookups, as_known).to_arrow()


def in_spark_sorted(
    settings: Settings | None, entities: pa.Table, lookups: list[Lookup], as_known: bool
) -> pa.Table:
    """As with logs that are too large to send to every task."""
    from provender.point_in_time.spark import plan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SMALL_LOG_ROWS", 0)
        return in_spark(settings, entities, lookups, as_known)


def in_spark_slices(
    settings: Settings | None, entities: pa.Table, lookups: list[Lookup], as_known: bool
) -> pa.Table:
    """As with keys that have too many rows for one task."""
    from provender.point_in_time.spark import plan, time_slices

    with pytest.MonkeyPatch.context() as patch:
        for module in (plan, time_slices):
            patch.setattr(module, "HOT_ROWS", 20)
        return in_spark_sorted(settings, entities, lookups, as_known)


ENGINES: dict[str, Join] = {
    "duckdb": in_duckdb,
    "spark": in_spark,
    "spark_sorted": in_spark_sorted,
    "spark_slices": in_spark_slices,
}

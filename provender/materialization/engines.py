"""Who writes: this process while the rows fit it, Spark above. Both send the same rows to the same script.

One Redis takes what one process packs, so below the limit Spark would only add its start, its shuffle and the way from
its rows to Arrow's. Above it, Spark sorts what one machine cannot hold, and writes to many servers from many machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from provender.engine_settings import Engine
from provender.materialization.duckdb_rows import OnlineRows
from provender.materialization.plan import ViewPlan, Written
from provender.materialization.writing import Write, generation_of, remove_stale_keys
from provender.online.writer import OnlineWriter
from provender.settings import Settings


@contextmanager
def opened(settings: Settings, plans: list[ViewPlan], attempt: str, up_to: datetime) -> Iterator[Write]:
    """What writes a view. The largest one's size decides for all. Raises :class:`SparkUnavailableError`."""
    writer = writer_of(settings)
    rows = max(plan.log.rows(plan.due(up_to)) for plan in plans)
    if settings.batch_engine.engine_for(rows) is Engine.DUCKDB:
        yield lambda plan: _write_here(writer, plan, up_to)
        return
    from provender.materialization.spark_write import spark_writer  # Spark takes a second to import

    with spark_writer(settings, writer, plans, attempt, up_to) as write:
        yield write


def writer_of(settings: Settings) -> OnlineWriter:
    """Return a writer to the project's online store, with the limit that the settings set."""
    return OnlineWriter(
        settings.redis,
        settings.project,
        settings.redis_key_ttl_seconds,
        rows_per_second=settings.batch_engine.rows_per_second,
    )


def _write_here(writer: OnlineWriter, plan: ViewPlan, up_to: datetime) -> Written:
    rows = OnlineRows(plan, up_to)
    is_whole = not rows.is_anything_outside
    generation = generation_of(plan, is_whole)
    counts = writer.write(
        plan.view.layout,
        rows.batches(),
        force=generation is not None,
        generation=generation,
        online_ttl_seconds=plan.online_ttl_seconds,
    )
    return Written(plan, counts + remove_stale_keys(writer, plan, generation), is_whole)

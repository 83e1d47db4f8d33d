"""Who writes: this process while the rows fit it, Spark above. Both send the same rows to the same script.

One Redis takes what one process packs, so below the limit Spark would only add its start, its shuffle and the way from
its rows to Arrow's. Above it, Spark sorts what one machine cannot hold, and writes to many servers from many machines.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from provender.errors import SettingsError
from provender.materialization.plan import SECTION, ViewPlan, Written
from provender.materialization.rows import OnlineRows
from provender.online.pipeline import Counts
from provender.online.writer import OnlineWriter
from provender.point_in_time.choice import Engine, choice_of, section_of
from provender.settings import SETTINGS_FILE, Settings

DUCKDB_ROWS = 10_000_000
"""Up to so many versions that are due this process writes: see ``docs/operations.md``."""
Write = Callable[[ViewPlan], Written]


@contextmanager
def opened(settings: Settings, plans: list[ViewPlan], attempt: str, up_to: datetime) -> Iterator[Write]:
    """What writes a view. The largest one's size decides for all. Raises :class:`SparkUnavailableError`."""
    writer = writer_of(settings)
    rows = max(plan.log.rows(plan.due(up_to)) for plan in plans)
    if choice_of(settings, SECTION, DUCKDB_ROWS).made(rows) is Engine.DUCKDB:
        yield lambda plan: _write_here(writer, plan, up_to)
        return
    from provender.spark.online_write import spark_writer  # Spark takes a second to import

    with spark_writer(settings, writer, plans, attempt, up_to) as write:
        yield write


def writer_of(settings: Settings) -> OnlineWriter:
    """To the project's online store, with the limit that the settings set. Raises :class:`SettingsError`."""
    limit = section_of(settings, SECTION).get("rows_per_second")
    if limit is not None and not (isinstance(limit, int | float) and limit > 0):
        raise SettingsError(
            f"{SECTION}.rows_per_second: {limit!r} is no number above 0",
            where=str(settings.repo / SETTINGS_FILE),
            not_affected="everything",
            remedy="rows_per_second: 50000, or leave it out",
        )
    return OnlineWriter(
        settings.redis, settings.project, settings.redis_key_ttl_seconds, rows_per_second=limit
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
    return Written(plan, counts + swept(writer, plan, generation), is_whole)


def generation_of(plan: ViewPlan, is_whole: bool) -> str | None:
    """A stamp for the rows of a full rebuild, so that what has another can be removed.

    A part has none: it must neither replace what is newer nor remove what it did not look at."""
    return secrets.token_hex(8) if plan.since is None and is_whole else None


def swept(writer: OnlineWriter, plan: ViewPlan, generation: str | None) -> Counts:
    """Removes what a full rebuild did not write."""
    return Counts() if generation is None else Counts(deleted=writer.sweep(plan.view.layout, generation))

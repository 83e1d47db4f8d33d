"""Feast's batch engine over provender's ledger: ``batch_engine.type`` in ``feature_store.yaml``.

``FeatureStore.materialize`` and ``materialize_incremental`` then run our change-driven materialization. *What* is
written is decided by the ledger; start and end are bounds on top of it, by event timestamp, both ends included:

- What lies outside the bounds stays due, so no order of calls leaves a hole, and no end in the future hides anything.
- A start that Feast picked itself (its watermark, or ``now − ttl`` for a view it never materialized) is no bound.
- The watermark that Feast keeps is advisory: it never goes beyond now, and nothing here reads it but to tell that.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from feast import BatchFeatureView, Entity, FeatureView, OnDemandFeatureView, StreamFeatureView
from feast.infra.common.materialization_job import (
    MaterializationJob,
    MaterializationJobStatus,
    MaterializationTask,
)
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel
from pydantic import Field, StrictInt, StrictStr

from provender.engine_settings import WRITE_DUCKDB_ROWS, Engine
from provender.errors import ProvenderError, SpecError
from provender.feast.tables import resolve_in, settings_of
from provender.materialization.plan import Bounds
from provender.materialization.run import materialize
from provender.online.views import load_applied_views
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.storage import storage_at

_A_YEAR = timedelta(weeks=52)
"""How far back Feast starts with a view that has no ttl."""
_JUST_NOW = timedelta(minutes=5)
"""Feast reads the clock for ``now − ttl`` before it asks the engine."""

View = BatchFeatureView | StreamFeatureView | FeatureView


class ProvenderEngineConfig(FeastConfigBaseModel):
    """Where the tables are and how Spark runs is said once, under ``provender`` in the same file."""

    type: StrictStr = "provender.feast.engine.ProvenderEngine"
    engine: Engine = Engine.AUTO
    """``auto``: this process up to ``duckdb_rows``, Spark above; ``duckdb`` or ``spark``: always that one."""
    duckdb_rows: StrictInt = WRITE_DUCKDB_ROWS
    rows_per_second: float | None = Field(default=None, gt=0)
    """At most so many rows go online in a second, for the sake of readers; None: no limit."""
    allow_eviction: bool = False
    """Whether an online store that may evict values is accepted, with a warning."""


@dataclass
class ProvenderMaterializationJob(MaterializationJob):
    """One view's materialization, ended."""

    task: MaterializationTask
    attempt: str
    failure: ProvenderError | None = None

    def status(self) -> MaterializationJobStatus:
        return MaterializationJobStatus.ERROR if self.failure else MaterializationJobStatus.SUCCEEDED

    def error(self) -> BaseException | None:
        return self.failure

    def should_be_retried(self) -> bool:
        return False

    def job_id(self) -> str:
        return f"{self.attempt}-{self.task.feature_view.name}"

    def url(self) -> str | None:
        return None


class ProvenderEngine(ComputeEngine):
    """Materializes all views of one source in one Spark application, and records Feast's intervals itself."""

    def update(
        self,
        project: str,
        views_to_delete: Sequence[View],
        views_to_keep: Sequence[View | OnDemandFeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
    ) -> None:
        """Nothing to prepare."""

    def teardown_infra(self, project: str, fvs: Sequence[View], entities: Sequence[Entity]) -> None:
        """Nothing to remove: the online store removes its values."""

    @property
    def supports_batch(self) -> bool:
        return True

    @property
    def applies_materialization(self) -> bool:
        return True

    def materialize(
        self, registry: BaseRegistry, tasks: MaterializationTask | list[MaterializationTask], **_: Any
    ) -> list[MaterializationJob]:
        """One job per task, in their order.

        Raises :class:`SpecError` before anything is written if a view is not over one of our tables, or not applied.
        """
        tasks = [tasks] if isinstance(tasks, MaterializationTask) else tasks
        settings = settings_of(self.repo_config)
        attempt = f"feast-{secrets.token_hex(8)}"
        jobs: dict[str, MaterializationJob] = {}
        for source, some in _by_source(settings, tasks).items():
            failure = _materialize(settings, source, some, attempt)
            for task in some:
                jobs[task.feature_view.name] = ProvenderMaterializationJob(task, attempt, failure)
                if failure is None:
                    _record(registry, task)
        return [jobs[task.feature_view.name] for task in tasks]


def _materialize(
    settings: Settings, source: str, tasks: list[MaterializationTask], attempt: str
) -> ProvenderError | None:
    try:
        materialize(settings, source, attempt, only={task.feature_view.name: bounds(task) for task in tasks})
    except ProvenderError as error:
        return error
    return None


def bounds(task: MaterializationTask) -> Bounds:
    """What of a task's interval is a wish of its caller."""
    if task.disable_event_timestamp:
        return Bounds()
    return Bounds(None if _is_feasts_own_start(task) else task.start_time, task.end_time)


def _is_feasts_own_start(task: MaterializationTask) -> bool:
    view: Any = task.feature_view
    watermark = view.most_recent_end_time
    if watermark is not None:
        return bool(_aware(watermark) == task.start_time)
    picked = datetime.now(UTC) - (view.ttl or _A_YEAR)
    return abs(picked - task.start_time) < _JUST_NOW


def _record(registry: BaseRegistry, task: MaterializationTask) -> None:
    """Feast's interval, which never ends in the future: what is not there yet is not materialized."""
    end = min(task.end_time, datetime.now(UTC))
    registry.apply_materialization(task.feature_view, task.project, min(task.start_time, end), end)


def _by_source(
    settings: Settings, tasks: Iterable[MaterializationTask]
) -> dict[str, list[MaterializationTask]]:
    catalog = Catalog.load(settings.repo)
    applied = {view.view for view in load_applied_views(storage_at(settings.storage_root), settings.project)}
    found: dict[str, list[MaterializationTask]] = {}
    for task in tasks:
        source = resolve_in(settings, catalog, task.feature_view.batch_source).source.name
        if task.feature_view.name not in applied:
            raise SpecError(
                f"view {task.feature_view.name!r} is in Feast's registry, but provender does not know it",
                where=str(settings.repo / "views"),
                not_affected="the online store: nothing was written",
                remedy="provender apply",
            )
        found.setdefault(source, []).append(task)
    return found


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

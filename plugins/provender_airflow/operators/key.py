"""The first task of a model's run: is its key the one to train for?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue
from airflow.sdk.exceptions import AirflowSkipException

from provender.intervals import Cadence, Partition
from provender.ledger import Ledger
from provender.model_registry.store import ModelStore
from provender.specs.models import ModelCatalog
from provender.specs.source import Source
from provender.storage import storage_at
from provender.training_sets.keys import (
    Choice,
    SourceProgress,
    Step,
    cadence_of,
    choose,
    expected_key,
    newest_complete_key,
    newest_started_key,
    why_incomplete,
)
from provender_airflow.dag_ids import SOURCE_PREFIX
from provender_airflow.task_settings import task_settings

LONGEST_WAIT = timedelta(hours=6)
"""After this a run no longer waits for its sources' other runs, so that one that hangs stops no model."""
_UNDER_WAY = ["queued", "running"]


class ChooseKeyOperator(BaseSensorOperator):
    """Trains for the newest complete key only; skips what follows otherwise, with the reason. Returns ``key``.

    While a backfill of a source is under way it waits, so that a year of keys trains one model.
    """

    template_fields: Sequence[str] = ("repo", "model")

    def __init__(self, *, repo: str, model: str, **kwargs: Any) -> None:
        super().__init__(
            mode="reschedule", poke_interval=10, timeout=2 * LONGEST_WAIT.total_seconds(), **kwargs
        )
        self.repo = repo
        self.model = model

    def poke(self, context: Context) -> PokeReturnValue:
        catalog = ModelCatalog.load(Path(self.repo))
        sources = catalog.sources_of(catalog.model(self.model))
        choice = self._choose(sources, context)
        self.log.info("%s: %s, because %s", choice.key or "no key", choice.step, choice.reason)
        if choice.step is Step.SKIP:
            raise AirflowSkipException(choice.reason)
        return PokeReturnValue(is_done=choice.step is Step.TRAIN, xcom_value={"key": choice.key})

    def _choose(self, sources: Mapping[str, Source], context: Context) -> Choice:
        settings, now = task_settings(self.repo), datetime.now(UTC)
        storage = storage_at(settings.storage_root)
        cadence = cadence_of(sources.values())
        progress = [SourceProgress.of(source, Ledger(storage, source.name)) for source in sources.values()]
        waited = now - context["dag_run"].run_after
        asked = _asked(cadence, context)
        looked_at = asked or newest_started_key(progress, cadence)
        return choose(
            asked,
            newest_complete_key(progress, cadence),
            by_hand=context["dag_run"].run_type != "asset_triggered",
            decided=ModelStore(storage, self.model).decided_keys(),
            expected=expected_key(sources.values(), cadence, now),
            sources_are_busy=waited < LONGEST_WAIT and self._are_busy(sources, context),
            incomplete=why_incomplete(progress, looked_at) if looked_at else "",
        )

    @staticmethod
    def _are_busy(sources: Mapping[str, Source], context: Context) -> bool:
        count = context["ti"].get_dr_count
        return any(count(dag_id=SOURCE_PREFIX + name, states=_UNDER_WAY) for name in sources)


def _asked(cadence: Cadence, context: Context) -> Partition | None:
    key = context["dag_run"].partition_key or context["params"].get("key")
    return Partition.parse(cadence, str(key)) if key else None

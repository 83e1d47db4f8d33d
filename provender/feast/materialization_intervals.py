"""Tells Feast which intervals scheduled runs have put online.

The ledger decides what is due; Feast's intervals are for people and tools that look into Feast's registry. They are
read off the manifests, in a process of its own, since importing Feast takes longer than most materializations.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feast import FeatureStore
from feast.errors import FeatureViewNotFoundException

from provender.failures import run_job
from provender.feast.registry import open_store, registry_errors, registry_lock
from provender.feast.sync_state import note_recorded
from provender.intervals import Partition, compress
from provender.ledger import Ledger
from provender.ledger.state import SourceState
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.source import Source
from provender.storage import storage_at

logger = logging.getLogger(
    "provender.feast.materialization_intervals"
)  # its name when it runs as a program, too

Interval = tuple[datetime, datetime]
"""``[start, end)``, in UTC."""


def record(settings: Settings, source_name: str) -> dict[str, list[Interval]]:
    """Adds to each view of the source the intervals that are online and that Feast does not have; returns them.

    An interval is a stretch of partitions without a gap, from its start to the earlier of its end and now. A second
    call adds nothing.
    """
    source = Catalog.load(settings.repo).source(source_name)
    storage = storage_at(settings.storage_root)
    state = Ledger(storage, source.name).state()
    reached = {view: state.view_up_to(view) for view in state.totals.views}
    with registry_errors(settings), registry_lock(settings):
        added = _register(open_store(settings), settings.project, online_partitions(source, state))
    note_recorded(storage, source.name, reached)
    return added


def _register(
    store: FeatureStore, project: str, online: dict[str, list[Partition]]
) -> dict[str, list[Interval]]:
    added: dict[str, list[Interval]] = {}
    for view, partitions in online.items():
        try:
            known = store.get_feature_view(view)
        except FeatureViewNotFoundException:
            continue  # materialized once, and deleted since
        added[view] = list(_missing(partitions, known.materialization_intervals))
        for start, end in added[view]:
            store.registry.apply_materialization(known, project, start, end)
    return added


def online_partitions(source: Source, state: SourceState) -> dict[str, list[Partition]]:
    """Per view that was ever written the partitions that are online, in order."""
    return {
        view: sorted(Partition.parse(source.cadence, key) for key in state.online_keys(view))
        for view in state.totals.views
    }


def _missing(partitions: list[Partition], known: Iterable[Any]) -> Iterator[Interval]:
    """The stretches of the partitions that no known interval holds."""
    now = datetime.now(UTC)
    there = [(_aware(start), _aware(end)) for start, end in known]
    left = [
        p for p in partitions if not any(start <= p.start and min(p.end, now) <= end for start, end in there)
    ]
    for first, last in compress(left):
        yield first.start, min(last.end, now)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def main(arguments: list[str] | None = None) -> int:
    """``python -m provender.feast.materialization_intervals --repo FOLDER --source NAME [--attempt NAME]``; returns the
    exit code."""
    parser = argparse.ArgumentParser(description="Tell Feast's registry what is materialized.")
    parser.add_argument("--repo", type=Path, default=None, help="feature repo (default: the nearest one)")
    parser.add_argument("--source", required=True)
    parser.add_argument("--attempt", help="name of this attempt, for its failure document")
    chosen = parser.parse_args(arguments)

    def work(settings: Settings) -> None:
        for view, intervals in record(settings, chosen.source).items():
            for start, end in intervals:
                logger.info(f"{view}: {start.isoformat()} to {end.isoformat()}")

    return run_job(chosen.repo, chosen.attempt, work)


if __name__ == "__main__":
    sys.exit(main())

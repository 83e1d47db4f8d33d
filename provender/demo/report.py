"""What the demo shows at its end: a table of what was done, a training frame, online values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from provender.demo.run import BACKFILL, RANGES, SOURCES
from provender.intervals import parse_range
from provender.ledger import Job, Kind, Ledger, Manifest
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.storage import storage_at

HEADER = (
    "source",
    "partition",
    "staged",
    "accepted",
    "quarantined",
    "new",
    "corrected",
    "withdrawn",
    "unchanged",
    "online",
    "seconds",
)
FEATURES = [
    "carrier_day:flights",
    "carrier_day:mean_dep_delay",
    "route_day:share_departed_late",
    "airport_weather:temp",
    "airport_weather:wind_speed",
]
Row = tuple[Any, ...]


def partitions_table(settings: Settings) -> list[Row]:
    """Rows under :data:`HEADER`: a row for each history run and each backfilled partition.

    ``online`` is the number of rows that the materialization after it wrote; ``seconds`` are those of its
    ingest and that materialization.
    """
    storage = storage_at(settings.storage_root)
    catalog = Catalog.load(settings.repo)
    rows: list[Row] = []
    for source in SOURCES:
        ledger = Ledger(storage, source)
        cadence = catalog.source(source).cadence
        days = {p.key for p in parse_range(cadence, BACKFILL)}
        history = {p.key for p in parse_range(cadence, RANGES[source])} if source in RANGES else set()
        for manifest in ledger.manifests(Job.INGEST):
            if manifest.kind is Kind.MANIFEST and manifest.partitions.keys() <= days | history:
                rows.append(_row(ledger, manifest))
    return rows


def _row(ledger: Ledger, manifest: Manifest) -> Row:
    keys = sorted(manifest.partitions)
    online = _materialization_after(ledger, manifest)
    seconds = manifest.seconds + (online.seconds if online else 0.0)
    counts = [manifest.counts[name] for name in HEADER[2:9]]
    name = keys[0] if len(keys) == 1 else f"{keys[0]}..{keys[-1]}"
    return (ledger.source, name, *counts, online.counts["written"] if online else 0, f"{seconds:.1f}")


def _materialization_after(ledger: Ledger, ingest: Manifest) -> Manifest | None:
    recorded = ingest.recorded_up_to
    return next((m for m in ledger.manifests(Job.MATERIALIZE) if _is_up_to(m, recorded)), None)


def _is_up_to(manifest: Manifest, recorded: datetime | None) -> bool:
    reached = manifest.recorded_up_to
    return recorded is not None and reached is not None and reached >= recorded


def training_frame(settings: Settings) -> pd.DataFrame:
    """Five flights of 5 December and what was known of carrier, route and weather two hours before departure."""
    from feast import FeatureStore

    entities = pd.DataFrame(
        [
            ("UA", "EWR", "LAX", "2013-12-05T12:00:00Z"),
            ("AA", "LGA", "ORD", "2013-12-05T13:00:00Z"),
            ("B6", "JFK", "BOS", "2013-12-05T15:00:00Z"),
            ("DL", "LGA", "ATL", "2013-12-05T18:00:00Z"),
            ("EV", "EWR", "RDU", "2013-12-05T22:00:00Z"),
        ],
        columns=["carrier", "origin", "dest", "event_timestamp"],
    )
    departures = pd.to_datetime(entities["event_timestamp"], utc=True)
    entities["event_timestamp"] = departures - timedelta(hours=2)
    store = FeatureStore(str(settings.repo))
    return store.get_historical_features(entity_df=entities, features=FEATURES).to_df()


def online_values(settings: Settings) -> pd.DataFrame:
    """What a model reads now for three of those flights."""
    from feast import FeatureStore

    rows = [
        {"carrier": "UA", "origin": "EWR", "dest": "LAX"},
        {"carrier": "B6", "origin": "JFK", "dest": "BOS"},
        {"carrier": "DL", "origin": "LGA", "dest": "ATL"},
    ]
    store = FeatureStore(str(settings.repo))
    return pd.DataFrame(store.get_online_features(features=FEATURES, entity_rows=rows).to_dict())


def as_text(rows: Iterable[Row]) -> Iterator[str]:
    """Aligned lines: words left, numbers right."""
    table = [tuple(str(cell) for cell in row) for row in (HEADER, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADER))]
    for row in table:
        cells = (
            f"{cell:<{w}}" if i < 2 else f"{cell:>{w}}"
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells)

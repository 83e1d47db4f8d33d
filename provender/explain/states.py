"""What raw rows ask for: the states of one key and event timestamp, in order of their created timestamps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from provender.explain.ledger_facts import LedgerFacts
from provender.explain.versions import Version
from provender.intervals import as_utc
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.source import FeatureTable, Source
from provender.storage import Storage


@dataclass(frozen=True)
class State:
    """What holds from ``created`` on: a value, or (deleted) nothing."""

    created: datetime | None
    """None: no raw row ever said so."""
    deleted: bool
    value: Any = None


@dataclass(frozen=True)
class Task:
    """What has to be known to compute a version of a feature again."""

    settings: Settings
    storage: Storage
    catalog: Catalog
    source: Source
    table: FeatureTable
    facts: LedgerFacts
    keys: Mapping[str, Any]
    column: str
    attempt: str


def as_it_is(rows: pa.Table, version: Version, column: str) -> list[State]:
    """The states that raw rows of a table without SQL ask for: of copies with one created timestamp the one delivered
    last counts."""
    newest: dict[datetime, tuple[Any, Any]] = {}
    for row in rows.to_pylist():
        if as_utc(row["_event"]) != version.event:
            continue
        order = (row["_delivered"], row["_partition"], row["_file"], _sortable(row[column]))
        created = as_utc(row["_created"])
        if created not in newest or order > newest[created][0]:
            newest[created] = (order, row[column])
    return [
        State(created, False, value) for created, (_, value) in sorted(newest.items(), key=lambda e: e[0])
    ]


def _sortable(value: Any) -> tuple[int, Any]:
    """As Spark orders values: null first, NaN last."""
    if value is None:
        return 0, 0
    return (2, 0) if isinstance(value, float) and math.isnan(value) else (1, value)

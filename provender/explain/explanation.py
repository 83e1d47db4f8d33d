"""An explanation as values, and as a JSON document."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provender.explain.asked import Feature, Question
from provender.explain.changes import Change
from provender.explain.ledger_facts import Recorder
from provender.explain.online_row import OnlineRow
from provender.explain.raw_rows import RawRow
from provender.explain.recomputed import Recomputed
from provender.explain.versions import NullRule, Version
from provender.intervals import iso


@dataclass(frozen=True)
class Explanation:
    """Why a feature has its value."""

    question: Question
    feature: Feature
    source: str
    table: str
    sql: str
    """File of the table's SQL; empty for a table taken as it is."""
    spec: str
    """The data half of the spec hash, as it is today."""
    version: Version | None
    """What the entity row sees; None: no row, see ``rule``."""
    rule: NullRule | None
    """Why the value is null; None where it is not."""
    nearest: Version | None
    """Without a row: the version that came closest."""
    changes: Sequence[Change]
    """Every version of the same event timestamp (of ``nearest`` without a row), oldest first."""
    before: Version | None
    """The row of the event timestamp before."""
    after: Version | None
    """The row of the event timestamp after."""
    recomputed: Recomputed | None
    raw_rows: Sequence[RawRow]
    """The first of the raw rows that it was computed from."""
    online: OnlineRow | None

    @property
    def value(self) -> Any:
        """The feature's value at t; None: null."""
        return self.version.value if self.version is not None else None

    def as_document(self) -> dict[str, Any]:
        """For machines: ISO times, bytes in base64, NaN and infinities as text."""
        question = self.question
        return {
            "feature": f"{question.view}:{question.feature}",
            "keys": {name: plain(value) for name, value in self.feature.join_keys.items()},
            "at": iso(question.at),
            "known_then": question.known_then,
            "value": plain(self.value),
            "null_because": self.rule,
            "version": _version(self.version),
            "nearest": _version(self.nearest),
            "before": _version(self.before),
            "after": _version(self.after),
            "changes": [_change(change) for change in self.changes],
            "source": self.source,
            "table": self.table,
            "sql": self.sql,
            "spec": self.spec,
            "dag": f"features__{self.source}",
            "recomputed": _recomputed(self.recomputed),
            "raw_rows": [_raw_row(row) for row in self.raw_rows],
            "online": _online(self.online),
        }


def plain(value: Any) -> Any:
    """``value`` as JSON has it."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _version(version: Version | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {
        "event_timestamp": iso(version.event),
        "created_timestamp": iso(version.created),
        "recorded_timestamp": iso(version.recorded),
        "withdrawn": version.deleted,
        "value": plain(version.value),
    }


def _change(change: Change) -> dict[str, Any]:
    return {**(_version(change.version) or {}), "why": change.why, "recorder": _recorder(change.recorder)}


def _recorder(recorder: Recorder | None) -> dict[str, Any] | None:
    if recorder is None:
        return None
    return {
        "manifest": recorder.manifest,
        "attempt": recorder.attempt,
        "committed": iso(recorder.committed),
        "spec": recorder.spec,
        "code": recorder.code,
        "resumed": recorder.resumed,
        "partitions": [each.partition for each in recorder.delivered],
    }


def _recomputed(recomputed: Recomputed | None) -> dict[str, Any] | None:
    if recomputed is None:
        return None
    state = recomputed.state
    return {
        "outcome": recomputed.outcome,
        "why": recomputed.why,
        "value": plain(state.value) if state else None,
        "withdrawn": state.deleted if state else None,
        "raw_rows": recomputed.rows.table.num_rows if recomputed.rows else None,
        "raw_rows_are_of_key": recomputed.rows.is_of_key if recomputed.rows else None,
    }


def _raw_row(row: RawRow) -> dict[str, Any]:
    values = {name: plain(value) for name, value in row.values.items()}
    return {"partition": row.partition, "file": row.file, "record": row.record, "values": values}


def _online(online: OnlineRow | None) -> dict[str, Any] | None:
    if online is None:
        return None
    return {
        "decision": online.decision,
        "value": plain(online.value),
        "event_timestamp": iso(online.event) if online.event else None,
        "created_timestamp": iso(online.created) if online.created else None,
        "log": _version(online.log),
        "materialized_to": iso(online.materialized_to) if online.materialized_to else None,
    }

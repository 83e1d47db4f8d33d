"""Entries of manifests for tests: whole ones, of which a test names what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from provender.ledger.records import (
    IngestedPartition,
    StagedPartition,
    TableCommit,
    ViewWrite,
)

_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def staged(content: str = "one", **more: Any) -> StagedPartition:
    given = {"folder": f"staging/s/{content}", "files": [], "delivery": 1, "delivered": _TIME}
    return StagedPartition.model_validate({"content": content, **given, **more})


def ingested(content: str = "one", **more: Any) -> IngestedPartition:
    given = {"delivery": 1, "delivered": _TIME, "waived": [], "spec": "", "staged": 0, "accepted": 0}
    given |= {"quarantined": 0, "reasons": {}, "features": {}}
    return IngestedPartition.model_validate({"content": content, **given, **more})


def view_write(view: str, recorded: datetime = _TIME, **more: Any) -> ViewWrite:
    given: dict[str, Any] = {"table": f"tables/s/{view}", "table_id": "id", "layout": "l", "rebuilt": None}
    given |= {"written": 0, "skipped": 0, "deleted": 0}
    return ViewWrite.model_validate({"view": view, "recorded_up_to": recorded, **given, **more})


def table_commit(table: str, **more: Any) -> TableCommit:
    given = {"rows": 1, "version": 0, "files": 1, "bytes": 1, "txn": {"app_id": table, "version": 1}}
    return TableCommit.model_validate({"table": table, **given, **more})

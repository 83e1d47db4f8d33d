"""What should be online of the source ``readings``, and what is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from provender.ledger import Manifest
from provender.online.layout import ViewLayout, pack_keys
from provender.online.views import AppliedView, save_applied_views
from tests.engine import Project
from tests.servers import RedisServer
from tests.spark.knowledge import log_at
from tests.spark.readings import log_of

VIEWS = [
    AppliedView("newest_value", "readings", "latest", {"key": "STRING"}, {"value": "INT64"}, {}),
    AppliedView("day", "readings", "daily", {"key": "STRING"}, {"total": "INT64", "readings": "INT64"}, {}),
]


def apply_views(project: Project, views: list[AppliedView] = VIEWS) -> None:
    save_applied_views(project.storage, project.settings.project, views)


def run_materialize(project: Project, attempt: str, *, full: bool = False) -> Manifest:
    from provender.materialization.run import materialize

    return materialize(project.settings, "readings", attempt, full=full)


def current(project: Project, view: AppliedView) -> dict[str, dict[str, Any]]:
    """Per key what the log says now: the live version of the greatest event timestamp."""
    from datetime import UTC, datetime

    log, now = log_of(project, view.table), datetime.max.replace(tzinfo=UTC)
    values = {feature: log_at(log, now, feature) for feature in view.features}
    newest: dict[str, Any] = {}
    for key, event in next(iter(values.values())):
        newest[key] = max(event, newest.get(key, event))
    return {key: {f: values[f][key, event] for f in view.features} for key, event in newest.items()}


def online(
    project: Project, server: RedisServer, view: AppliedView, keys: str = "abcdef"
) -> dict[str, dict[str, Any]]:
    """Per key what Redis holds of a view with INT64 features."""
    client, layout = server.client(), view.layout
    batch = pa.RecordBatch.from_pydict({"key": list(keys)})
    found = {}
    for key, name in zip(keys, pack_keys(layout, project.settings.project, batch), strict=True):
        fields = client.hmget(name, [layout.timestamp_field, *layout.feature_fields])
        if any(field is not None for field in fields):
            found[key] = {f: _int64(raw) for f, raw in zip(view.features, fields[1:], strict=True)}
    client.close()
    return found


def assert_online_is_right(project: Project, server: RedisServer) -> None:
    """Every view holds what its log says now, and nothing else."""
    for view in VIEWS:
        assert online(project, server, view) == current(project, view), view.view


def _int64(raw: bytes | None) -> int | None:
    """The value of a ``ValueProto`` with an ``int64_val`` (field 4)."""
    if not raw:
        return None
    assert raw[0] == 0x20
    return sum((byte & 0x7F) << (7 * at) for at, byte in enumerate(raw[1:]))


__all__ = [
    "VIEWS",
    "ViewLayout",
    "apply_views",
    "assert_online_is_right",
    "current",
    "online",
    "run_materialize",
]

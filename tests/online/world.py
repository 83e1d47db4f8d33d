"""A source whose log is written directly, and what should be online of it: materialization without an engine."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import redis

from provender.ledger import Draft, Job, Kind, Manifest
from provender.materialization.run import materialize
from provender.online.decode import decode_value
from provender.online.layout import field_name, key_prefix, key_project
from provender.online.views import AppliedView, save_applied_views
from provender.specs.source import ColumnType
from tests.engine import Project, make_project
from tests.logged import logged
from tests.manifests import table_commit
from tests.point_in_time.logs import schema, write_log

DAY = datetime(2026, 11, 20, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "name": "people",
    "owner": "tests",
    "cadence": "daily",
    "start": DAY.date(),
    "raw": {"uri": "../raw/people/{partition}.csv"},
    "event_timestamp": {"column": "at"},
    "columns": [
        {"name": "k", "type": "STRING"},
        {"name": "email", "type": "STRING"},
        {"name": "v", "type": "INT64"},
        {"name": "at", "type": "TIMESTAMP"},
    ],
    "tables": [{"name": "people", "keys": ["k"]}],
}
COLUMNS = schema({"k": pa.string()}, {"email": pa.string(), "v": pa.int64()})
TYPES = {"email": ColumnType.STRING, "v": ColumnType.INT64}


def view(name: str = "person", *features: str, **more: Any) -> AppliedView:
    """A view over the table; by default with both features."""
    kinds = {feature: str(TYPES[feature]) for feature in features or ("email", "v")}
    return AppliedView(
        name, "people", "people", **({"join_keys": {"k": "STRING"}, "features": kinds, "columns": {}} | more)
    )


@dataclass
class World:
    """One project on one Redis."""

    project: Project
    rows: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def apply(self, *views: AppliedView) -> None:
        save_applied_views(self.project.storage, self.project.settings.project, list(views))

    def record(
        self, values: Mapping[str, tuple[str, int] | None], hour: int, event: datetime | None = None
    ) -> None:
        """An ingest at ``hour``: key to its email and v, or None for a row that is withdrawn again."""
        recorded, event = DAY + timedelta(hours=100 + hour), event or DAY + timedelta(hours=hour)
        times = {"event_timestamp": event, "created_timestamp": recorded, "recorded_timestamp": recorded}
        new = [
            {"k": key, "email": pair and pair[0], "v": pair and pair[1], "deleted": pair is None, **times}
            for key, pair in values.items()
        ]
        path = self.project.folder / "storage/tables/people/people"
        path.mkdir(parents=True, exist_ok=True)
        write_log(path, new, COLUMNS)
        self.rows += new
        wrote = [table_commit(self.project.source("people").path_of(self.table), bytes=100)]
        counts = {"withdrawn": sum(pair is None for pair in values.values())}
        draft = Draft(Job.INGEST, f"i{hour}", Kind.MANIFEST, {}, DAY, recorded, wrote=wrote, counts=counts)
        self.project.ledger("people").commit(draft)

    @property
    def table(self) -> Any:
        return self.project.source("people").table("people")

    def materialize(self, **more: Any) -> Manifest:
        with logged() as self.said:
            return materialize(self.project.settings, "people", "m", **more)

    def expected(self, applied: AppliedView) -> dict[str, dict[str, Any]]:
        """Per key what the log says now: the row with the greatest event timestamp that is not withdrawn."""
        newest: dict[tuple[str, datetime], dict[str, Any]] = {}
        for (
            row
        ) in self.rows:  # in the order of recording, so a later version of an event timestamp replaces it
            newest[row["k"], row["event_timestamp"]] = row
        live: dict[str, dict[str, Any]] = {}
        for (key, _), row in sorted(newest.items(), key=lambda item: item[0][1]):
            if not row["deleted"]:
                live[key] = {name: row[applied.column(name)] for name in applied.features}
        return live


def make_people(folder: Path, address: str, *, name: str = "test") -> World:
    """A project with the source and one view applied; nothing is recorded yet."""
    project = make_project(folder, spark={}, redis=address, name=name)
    project.write_source(SPEC)
    world = World(project)
    world.apply(view())
    return world


def online(
    client: redis.Redis | redis.RedisCluster, applied: AppliedView, project: str = "test"
) -> dict[str, Any]:
    """Per key (its join key's text) what Redis holds of the view, by looking at every key."""
    found = {}
    prefix = key_prefix(sorted(applied.join_keys))
    for key in client.scan_iter(count=1000):
        if key.startswith(prefix) and key_project(key) == project.encode():
            fields: dict[bytes, bytes] = client.hgetall(key)  # type: ignore[assignment]
            if applied.layout.timestamp_field in fields:
                found[_text_of(key, prefix)] = {
                    name: _decoded(fields[field_name(applied.view, name)], TYPES[applied.column(name)])
                    for name in applied.features
                }
    return found


def holding(client: redis.Redis | redis.RedisCluster, text: bytes) -> list[bytes]:
    """Keys of which any byte string, field or value, contains ``text``."""
    return [
        key
        for key in client.scan_iter(count=1000)
        if client.type(key) == b"hash"
        and any(text in part for pair in client.hgetall(key).items() for part in pair)  # type: ignore[union-attr]
    ]


def _decoded(raw: bytes, kind: ColumnType) -> Any:
    return decode_value(raw) if raw else None


def _text_of(key: bytes, prefix: bytes) -> str:
    (length,) = struct.unpack_from("<I", key, len(prefix) + 4)
    return key[len(prefix) + 8 : len(prefix) + 8 + length].decode()


__all__: Sequence[str] = ["DAY", "World", "holding", "make_people", "online", "view"]

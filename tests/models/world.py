"""A small platform with everything a deployment needs, and no Spark: a table, Redis, a training set, versions.

Two carriers fly; ``carrier_day:delay`` is 10.0 for UA and 20.0 for AA, true at the end of 2026-03-09, and in both
stores. The model predicts 0.01 * delay + 0.001 * hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from provender.ledger import Draft, Job, Kind, Ledger
from provender.model_registry.artifact import Example
from provender.model_registry.store import ModelStore
from provender.online.views import AppliedView, save_applied_views
from provender.online.writer import OnlineWriter
from provender.rollout.deploy import Rollout
from provender.specs.models.spec import Serving
from provender.specs.source import Source
from provender.storage import Storage
from provender.training_sets.lockfile import EntityRows, FeatureColumn, Inputs, Lockfile, LogRead, StoredTable
from tests.engine import Project, make_project
from tests.manifests import view_write
from tests.models.artifacts import write_artifact
from tests.point_in_time.logs import STAMP, schema, write_log

KEY = "2026-03-09"
MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)
DELAYS = {"UA": 10.0, "AA": 20.0}
VIEW = AppliedView("carrier_day", "flights", "carrier", {"carrier": "STRING"}, {"delay": "DOUBLE"}, {})
SOURCE = Source.model_validate(
    {
        "name": "flights",
        "owner": "travel",
        "cadence": "daily",
        "delay": timedelta(hours=3),
        "start": datetime(2026, 1, 5, tzinfo=UTC),
        "raw": {"uri": "x/{partition}"},
        "event_timestamp": {"column": "at"},
        "columns": [{"name": "carrier", "type": "STRING"}, {"name": "at", "type": "TIMESTAMP"}],
        "tables": [{"name": "carrier", "keys": ["carrier"]}],
    }
)


def prediction(hour: int, delay: float | None) -> float:
    """What the model of this world predicts."""
    return 0.01 * (delay or 0.0) + 0.001 * hour


EXAMPLES = tuple(
    Example({"hour": hour, "carrier_day__delay": delay}, prediction(hour, delay))
    for hour, delay in ((7, 10.0), (23, None))
)


@dataclass
class World:
    """One project, and the model ``late`` in it."""

    project: Project
    lockfile: Lockfile

    @property
    def storage(self) -> Storage:
        return self.project.storage

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.storage, "late")

    def write_version(self, model: bytes, **more: Any) -> str:
        """A version; those of different ``model`` differ. Returns its name."""
        return write_artifact(
            self.storage, model=model, lockfile=self.lockfile, **{"examples": EXAMPLES, **more}
        )

    def write_online(self, delays: Mapping[str, float | None], event: datetime = MIDNIGHT) -> None:
        """Replaces online values, without the offline table knowing."""
        moments = pa.array([event] * len(delays), STAMP)
        names = ("event_timestamp", "created_timestamp", "guard_event", "guard_created")
        columns = {"carrier": pa.array(delays.keys()), "delay": pa.array(delays.values(), pa.float64())}
        batch = pa.record_batch(columns | dict.fromkeys(names, moments))
        OnlineWriter(self.project.settings.redis, "test").write(VIEW.layout, [batch], force=True)

    def rollout(self, backend: Any, version: str, **more: Any) -> Rollout:
        """A deployment of ``version`` for :data:`KEY`, silent."""
        given = {
            "key": KEY,
            "attempt": "attempt-1",
            "serving": Serving(smoke_entities=2),
            "sources": {"flights": SOURCE},
        }
        return Rollout(self.project.settings, backend, "late", version, **{**given, **more})


def make_world(folder: Path, redis: str, delays: Mapping[str, float | None] = DELAYS) -> World:
    """The world above, its online store at ``redis``."""
    project = make_project(folder, spark={}, redis=redis)
    _write_offline(project, delays)
    save_applied_views(project.storage, "test", [VIEW])
    world = World(project, _write_training_set(project.storage))
    world.write_online(delays)
    return world


def run(rollout: Rollout) -> None:
    """All steps of a deployment, one after the other."""
    percent = rollout.start()
    while percent is not None:
        rollout.begin(percent)
        rollout.await_ready(percent)
        percent = rollout.finish(percent)


def _write_offline(project: Project, delays: Mapping[str, float | None]) -> None:
    columns = schema({"carrier": pa.string()}, {"delay": pa.float64()})
    times = dict.fromkeys(("event_timestamp", "created_timestamp", "recorded_timestamp"), MIDNIGHT)
    rows = [{"carrier": carrier, "delay": delay, **times} for carrier, delay in delays.items()]
    write_log(project.folder / "storage" / "tables" / "flights" / "carrier", rows, columns)
    up_to = MIDNIGHT + timedelta(hours=4)
    wrote = [view_write("carrier_day", up_to)]
    Ledger(project.storage, "flights").commit(
        Draft(Job.MATERIALIZE, "m-1", Kind.MANIFEST, {}, MIDNIGHT, recorded_up_to=up_to, wrote=wrote)
    )


def _write_training_set(storage: Storage) -> Lockfile:
    rows = {"carrier": ["UA", "AA", "UA", None], "hour": [7, 8, 9, 10], "is_late": [0, 1, 0, 1]}
    moments = [MIDNIGHT - timedelta(hours=hours) for hours in (5, 4, 3, 2)]
    table = pa.table({**rows, "event_timestamp": pa.array(moments, STAMP)})
    table = table.set_column(1, "hour", table.column("hour").cast(pa.int32()))
    log = LogRead(
        view="carrier_day",
        source="flights",
        table="carrier",
        path="tables/flights/carrier",
        table_id="",
        recorded_up_to=MIDNIGHT,
        definition="d",
        ttl_seconds=604800.0,
        keys={"carrier": "carrier"},
        key_types={"carrier": "STRING"},
        columns={"carrier_day__delay": FeatureColumn("delay", "delay", "DOUBLE")},
    )
    stored = {"rows": 4, "checksum": "sha256:0", "columns": {}}
    entities = EntityRows("entities.parquet", **stored, keys={"carrier": "STRING"}, origin={})
    inputs = Inputs(
        "late", "test", "c", entities, "event_timestamp", "is_late", ("hour",), True, True, (log,)
    )
    lockfile = Lockfile(inputs, MIDNIGHT, StoredTable("data.parquet", **stored))
    with storage.writing(f"{lockfile.path}/entities.parquet") as file:
        pq.write_table(table, file)
    storage.create(f"{lockfile.path}/lockfile.json", lockfile.to_bytes())
    return lockfile

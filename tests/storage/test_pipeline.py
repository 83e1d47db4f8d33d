"""The whole pipeline with everything on gs://: raw files, staging, tables, ledger, locks, training sets."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from provender.intervals import Partition
from provender.ledger import Job, Kind, Ledger, Manifest
from provender.settings import Settings, load_settings
from provender.specs.catalog import Catalog
from provender.storage import Storage, storage_at
from tests.engine import JARS
from tests.feast.conftest import SPEC, VIEWS
from tests.gcs import GcsServer
from tests.servers import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.gcs, pytest.mark.redis]

DAY = "2026-11-22"
CSV = f"""driver_id,at,trips,rate,city
1,{DAY}T01:00:00Z,3,1.5,Zürich
2,{DAY}T01:00:00Z,4,2.5,Bern
1,{DAY}T05:00:00Z,5,3.5,Zürich
x,{DAY}T06:00:00Z,5,3.5,Chur
"""


@dataclass
class Pipeline:
    settings: Settings

    @property
    def storage(self) -> Storage:
        return storage_at(self.settings.storage_root)

    def deliver(self, text: str) -> None:
        with storage_at(self.settings.storage_root.replace("/root", "/raw")).writing(f"{DAY}.csv") as file:
            file.write(text.encode())

    def run(self, attempt: str) -> list[Manifest]:
        """Stage, ingest and materialize the day."""
        from provender.ingestion.ingest import ingest
        from provender.materialization.run import materialize
        from provender.staging import stage

        source = Catalog.load(self.settings.repo).source("trips")
        days = [Partition.parse(source.cadence, DAY)]
        return [
            stage(self.settings, source, days, attempt),
            ingest(self.settings, "trips", days, attempt),
            materialize(self.settings, "trips", attempt),
        ]

    def rebuild_online_on_spark(self) -> None:
        """Writes every row again, from now on by Spark."""
        from provender.materialization.run import materialize

        path = self.settings.repo / "feature_store.yaml"
        engine = {"type": "provender.feast.engine.ProvenderEngine", "engine": "spark"}
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"batch_engine": engine}))
        materialize(load_settings(path.parent), "trips", f"spark-{secrets.token_hex(4)}", full=True)


@pytest.fixture
def pipeline(tmp_path: Path, gcs_server: GcsServer, redis_server: RedisServer) -> Iterator[Pipeline]:
    """An applied feature repo whose storage and raw files are on the emulator, with a Spark engine of its own."""
    from provender.feast.apply import apply
    from provender.spark import server
    from provender.spark.jars import install

    bucket, repo = gcs_server.new_bucket(), tmp_path / "feature_defs"
    source = yaml.safe_load(SPEC)
    source |= {"raw": {"uri": f"gs://{bucket}/raw/{{partition}}.csv"}, "violations": {"max_share": 0.5}}
    spark = {"jars_dir": str(JARS), "driver_memory": "2g"}
    provender = {"storage_root": f"gs://{bucket}/root", "state_dir": "../state", "spark": spark}
    settings: dict[str, Any] = {
        "project": "shop",
        "provider": "local",
        "registry": {"registry_type": "sql", "path": "sqlite:///../state/registry.db"},
        "online_store": {"type": "redis", "connection_string": redis_server.address},
        "offline_store": {"type": "provender.feast.offline_store.ProvenderOfflineStore"},
        "entity_key_serialization_version": 3,
        "provender": provender,
    }
    for path, text in {
        "feature_store.yaml": yaml.safe_dump(settings),
        "sources/trips.yaml": yaml.safe_dump(source, sort_keys=False),
        "views/trips_views.py": VIEWS,
    }.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(text)
    loaded = load_settings(repo)
    install(loaded)
    apply(repo)
    yield Pipeline(loaded)
    server.stop(loaded)


def test_the_whole_pipeline_runs_on_gcs(pipeline: Pipeline) -> None:
    from feast import FeatureStore

    from provender.engine_settings import Engine, EngineChoice
    from provender.feast.training_set import build
    from provender.training_sets.join import joined
    from provender.training_sets.request import Request
    from provender.upkeep.run import tidy

    pipeline.deliver(CSV)
    staged, ingested, online = pipeline.run("first")
    entry = staged.partitions[DAY]
    assert pipeline.storage.read(f"{entry.folder}/{entry.files[0].name}") == CSV.encode()
    assert (ingested.counts["accepted"], ingested.counts["quarantined"]) == (3, 1)
    assert online.kind is Kind.MANIFEST

    assert [m.kind for m in pipeline.run("again")] == [Kind.RECEIPT] * 3

    pipeline.deliver(CSV.replace(",5,3.5,Zürich", ",6,3.5,Zürich"))
    assert pipeline.run("corrected")[1].counts["corrected"] == 1
    assert len(Ledger(pipeline.storage, "trips").manifests(Job.INGEST)) == 3

    store = FeatureStore(str(pipeline.settings.repo))
    times = [f"{DAY}T02:00:00Z", f"{DAY}T05:30:00Z", f"{DAY}T02:30:00Z", f"{DAY}T12:00:00Z"]
    rows = pd.DataFrame({"driver_id": [1, 1, 2, 2], "event_timestamp": pd.to_datetime(times)})
    found = store.get_historical_features(rows, ["driver_trips:trips"]).to_df()
    assert found["trips"].fillna(-1).astype(int).tolist() == [3, 6, 4, -1]
    online_rows = [{"driver_id": driver} for driver in (1, 2, 3)]
    for written_by in ("this process", "Spark"):
        values = store.get_online_features(["driver_trips:trips"], online_rows).to_dict()
        assert values["trips"] == [6, 4, None], written_by
        pipeline.rebuild_online_on_spark()

    entities = pipeline.settings.repo / "rows.csv"
    rows.assign(tip=[0, 1, 0, 1]).to_csv(entities, index=False)
    request = Request("tips", str(entities), features=("driver_trips:trips",), label="tip", as_known=False)
    built = build(pipeline.settings, request, "training")
    assert built.uri.startswith(pipeline.settings.storage_root)
    trips = built.data().to_pandas()["driver_trips__trips"].fillna(-1).astype(int)
    assert trips.tolist() == [3, 4, 6, -1]  # by time
    assert not build(pipeline.settings, request, "training again").is_new
    on_spark = joined(
        pipeline.settings,
        built.entities(),
        built.lockfile.inputs,
        EngineChoice(engine=Engine.SPARK, duckdb_rows=0),
    )
    assert on_spark.select(built.data().column_names).equals(built.data())

    assert {tidied.table for tidied in tidy(pipeline.settings, "upkeep")} >= {
        "raw/trips",
        "tables/trips/trips",
    }

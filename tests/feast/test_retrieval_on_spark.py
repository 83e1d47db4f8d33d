"""What a retrieval gives besides Arrow and pandas: a Spark frame, files for somebody else, and its metadata."""

from __future__ import annotations

import gc
from typing import Any

import pyarrow.dataset as ds
import pytest
import yaml

from provender.feast.offline_store import ProvenderOfflineStore
from tests.engine import JARS
from tests.feast.conftest import Shop, version
from tests.feast.test_offline_store import FEATURES, rows
from tests.point_in_time.logs import at

pytestmark = pytest.mark.spark


@pytest.fixture(params=["duckdb", "spark"])
def sold(shop: Shop, engine_url: str, request: pytest.FixtureRequest) -> Shop:
    """A shop with some trips, on each engine."""
    settings = shop.repo / "feature_store.yaml"
    document = yaml.safe_load(settings.read_text())
    document["offline_store"]["engine"] = request.param
    document["provender"]["spark"] = {"remote": engine_url, "jars_dir": str(JARS)}
    settings.write_text(yaml.safe_dump(document))
    shop.ingest(version(1, 10, 0), version(1, 11, 60), version(2, 20, 0), recorded=500)
    return shop


FRAME = rows((2, 30), (1, 59), (1, 60), (None, 60), (1, 181), weight=[0.5, 1.5, 2.5, 3.5, 4.5])
TRIPS = [(0.5, 20), (1.5, 10), (2.5, 11), (3.5, None), (4.5, None)]


def found(table: Any) -> list[Any]:
    return sorted(zip(table.column("weight").to_pylist(), table.column("trips").to_pylist(), strict=True))


def test_a_spark_frame_has_the_entity_rows_columns_and_the_features(sold: Shop) -> None:
    job = sold.store().get_historical_features(FRAME, FEATURES)
    frame = job.to_spark_df()
    assert frame.columns == ["driver_id", "event_timestamp", "weight", "trips", "rate"]
    assert frame.schema["trips"].dataType.simpleString() == "int"
    assert found(frame.toArrow()) == TRIPS
    assert frame.where("trips > 10").count() == 2


def test_a_frame_outlives_its_job_and_the_entity_rows_wait_for_it(sold: Shop) -> None:
    frame = sold.store().get_historical_features(FRAME, FEATURES).to_spark_df()
    other = sold.store().get_historical_features(FRAME, FEATURES).to_spark_df()
    gc.collect()
    assert frame.count() == 5
    assert frame.join(other, "weight").count() == 5  # frames of one repo share a session


def test_on_demand_features_are_in_the_frame_too(sold: Shop) -> None:
    frame = rows((1, 1), extra=[5])
    job = sold.store().get_historical_features(frame, [*FEATURES, "sums:total"])
    assert [row.total for row in job.to_spark_df().collect()] == [15.0]


def test_files_are_written_for_others_and_stay(sold: Shop) -> None:
    job = sold.store().get_historical_features(FRAME, FEATURES)
    assert job.supports_remote_storage_export()
    uris = job.to_remote_storage()
    assert all(uri.startswith("file://") and uri.endswith(".parquet") for uri in uris)
    data = ds.dataset([uri.removeprefix("file://") for uri in uris], format="parquet").to_table()
    assert found(data) == TRIPS
    assert data.column_names == ["driver_id", "event_timestamp", "weight", "trips", "rate"]


def test_a_scan_is_a_spark_frame_too(sold: Shop) -> None:
    store = sold.store()
    source = store.get_feature_view("driver_trips").batch_source
    job = ProvenderOfflineStore.pull_latest_from_table_or_query(
        store.config, source, ["driver_id"], ["trips"], "event_timestamp", None, at(-5), at(90)
    )
    assert sorted(row.trips for row in job.to_spark_df().collect()) == [11, 20]


def test_metadata_is_there_before_anything_is_run(sold: Shop) -> None:
    metadata = sold.store().get_historical_features(FRAME, FEATURES).metadata
    assert metadata.features == FEATURES
    assert metadata.keys == ["driver_id", "weight"]
    assert (metadata.min_event_timestamp, metadata.max_event_timestamp) == (at(30), at(181))


def test_columns_with_any_name_come_back_under_it(sold: Shop) -> None:
    named = FRAME.rename(columns={"weight": "a.b `c`"})
    frame = sold.store().get_historical_features(named, FEATURES).to_spark_df()
    assert "a.b `c`" in frame.columns
    assert sorted(frame.toArrow().column("a.b `c`").to_pylist()) == [0.5, 1.5, 2.5, 3.5, 4.5]

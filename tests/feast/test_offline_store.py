"""Plain ``feast.FeatureStore(repo)`` on our feature tables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from feast.errors import FeastEntityDFMissingColumnsError, SavedDatasetLocationAlreadyExists
from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource, SavedDatasetFileStorage

from provender.errors import SourceNotReadyError, SpecError, TerminalError
from provender.feast.offline_store import ProvenderOfflineStore
from tests.feast.conftest import Shop, version
from tests.point_in_time.logs import at


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def shop(shop: Shop, request: pytest.FixtureRequest) -> Shop:
    """The applied repo, on each engine in turn: the answers are the same."""
    settings = shop.repo / "feature_store.yaml"
    document = yaml.safe_load(settings.read_text())
    document["offline_store"]["engine"] = request.param
    if request.param == "spark":
        document["provender"]["spark"] = {"remote": request.getfixturevalue("engine_url")}
    settings.write_text(yaml.safe_dump(document))
    return shop


FEATURES = ["driver_trips:trips", "driver_trips:rate"]


def rows(*pairs: tuple[int | None, float], **more: Any) -> pd.DataFrame:
    times = pd.to_datetime([at(m) for _, m in pairs], utc=True)
    return pd.DataFrame({"driver_id": [d for d, _ in pairs], "event_timestamp": times, **more})


def trips(shop: Shop, frame: Any, **options: Any) -> list[Any]:
    job = shop.store().get_historical_features(entity_df=frame, features=FEATURES, **options)
    return job.to_arrow().column("trips").to_pylist()


def test_rows_come_back_once_in_their_order_with_nulls_where_nothing_matches(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), version(1, 11, 60), version(2, 20, 0), recorded=500)
    frame = rows((2, 30), (1, 59), (1, 60), (1, 181), (9, 30), (1, 59))
    found = shop.store().get_historical_features(frame, FEATURES).to_df()
    assert list(found.columns) == ["driver_id", "event_timestamp", "trips", "rate"]
    assert found["driver_id"].tolist() == [2, 1, 1, 1, 9, 1]
    assert trips(shop, frame) == [20, 10, 11, None, None, 10]
    assert found["rate"].fillna(-1).tolist() == [10, 5, 5.5, -1, -1, 5]


def test_the_ttl_is_the_views_and_inclusive(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    assert trips(shop, rows((1, 120), (1, 120.001))) == [10, None]


def test_filter_by_created_timestamp_keeps_corrections_out_of_the_past(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0, 1), version(1, 12, 0, 50), recorded=500)
    frame = rows((1, 0.5), (1, 1), (1, 49), (1, 50))
    assert trips(shop, frame) == [12, 12, 12, 12]
    assert trips(shop, frame, filter_by_created_timestamp=True) == [None, 10, 10, 12]


def test_a_withdrawn_row_leaves_the_older_one(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), version(1, 11, 10), recorded=500)
    shop.ingest(version(1, None, 10, 30, deleted=True), recorded=600)
    assert trips(shop, rows((1, 20), (1, 40))) == [10, 10]
    assert trips(shop, rows((1, 20), (1, 40)), filter_by_created_timestamp=True) == [11, 10]


def test_rows_of_an_attempt_that_did_not_commit_are_not_seen(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    shop.ingest(version(1, 99, 5), recorded=600, commit=False)
    assert trips(shop, rows((1, 10))) == [10]
    shop.ingest(recorded=600)
    assert trips(shop, rows((1, 10))) == [99]


def test_full_feature_names_services_and_on_demand_views(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    service = shop.store().get_feature_service("everything")
    frame = rows((1, 1), extra=[5])
    found = shop.store().get_historical_features(frame, service, full_feature_names=True).to_df()
    assert found["driver_trips__trips"].tolist() == [10]
    assert found["sums__total"].tolist() == [15.0]
    plain = shop.store().get_historical_features(frame, ["sums:total"]).to_df()
    assert plain["total"].tolist() == [15.0]


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_naive_times_are_utc_and_other_zones_are_converted(shop: Shop, zone: str | None) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    times = pd.to_datetime([at(0), at(-0.001)], utc=True)
    frame = pd.DataFrame(
        {
            "driver_id": [1, 1],
            "event_timestamp": times.tz_localize(None) if zone is None else times.tz_convert(zone),
        }
    )
    assert trips(shop, frame) == [10, None]


def test_times_may_be_texts_and_the_column_may_have_another_name(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    texts = pd.DataFrame({"driver_id": [1], "event_timestamp": ["2026-11-22T01:00:00+01:00"]})
    assert trips(shop, texts) == [10]
    assert trips(shop, rows((1, 1)).rename(columns={"event_timestamp": "seen"})) == [10]


def test_arrow_rows_are_taken_too(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    assert trips(shop, pa.Table.from_pandas(rows((1, 1)))) == [10]


def test_entity_rows_may_be_sql_over_feature_tables(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), version(2, 20, 5), recorded=500)
    shop.ingest(version(2, None, 5, 6, deleted=True), recorded=600)
    query = "SELECT driver_id, event_timestamp + INTERVAL 1 MINUTE AS event_timestamp FROM trips.trips"
    assert trips(shop, query) == [10]


def test_times_in_entity_sql_that_name_no_zone_are_utc(shop: Shop) -> None:
    """`make test` runs this where DuckDB would say otherwise by itself."""
    shop.ingest(version(1, 10, 0), recorded=500)
    midnight, before = "2026-11-22 00:00:00", "2026-11-21 23:59:59"
    for text, expected in (
        (f"TIMESTAMPTZ '{midnight}'", [10]),
        (f"TIMESTAMPTZ '{before}'", [None]),
        (f"TIMESTAMP '{midnight}'", [10]),
        (f"CAST('{before}' AS TIMESTAMPTZ)", [None]),
        (f"TIMESTAMP_NS '{midnight}.000000001'", [10]),
        ("DATE '2026-11-22'", [10]),
        ("date_trunc('day', (SELECT max(event_timestamp) FROM trips.trips))", [10]),
    ):
        assert trips(shop, f"SELECT 1 AS driver_id, {text} AS event_timestamp") == expected, text
    query = "SELECT driver_id, event_timestamp, hour(event_timestamp) AS hour FROM trips.trips"
    found = shop.store().get_historical_features(entity_df=query, features=FEATURES).to_arrow()
    assert found.column("hour").to_pylist() == [0]
    with pytest.raises(TerminalError, match="is not read as a time"):
        trips(shop, "SELECT 1 AS driver_id, 'yesterday' AS event_timestamp")


def test_wrong_sql_is_one_error_with_duckdbs_words(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    with pytest.raises(TerminalError, match="entity rows' SQL cannot be run"):
        trips(shop, "SELECT nonsense FROM trips.trips")


def test_a_date_range_gives_every_entity_seen_in_it_as_of_its_end(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), version(1, 11, 10), version(2, 20, 30), version(3, 30, -100), recorded=500)
    job = shop.store().get_historical_features(features=FEATURES, start_date=at(-10), end_date=at(20))
    found = job.to_df()
    assert found[["driver_id", "trips"]].to_numpy().tolist() == [[1, 11]]
    assert found["entity_ts"].tolist() == [pd.Timestamp(at(20))]


def test_a_source_that_was_never_ingested_is_named_with_the_command(shop: Shop) -> None:
    with pytest.raises(SourceNotReadyError) as caught:
        trips(shop, rows((1, 1)))
    assert "'trips' was not ingested yet" in str(caught.value)
    assert "provender ingest trips 2026-11-01" in str(caught.value)


def test_a_source_whose_ingests_brought_no_row_gives_nulls(shop: Shop) -> None:
    shop.ingest(recorded=500)
    assert trips(shop, rows((1, 1))) == [None]


def test_a_missing_join_key_is_feasts_own_error(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    with pytest.raises(FeastEntityDFMissingColumnsError, match="driver_id"):
        trips(shop, rows((1, 1)).drop(columns="driver_id"))


def test_a_column_called_like_a_feature_is_refused(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    with pytest.raises(TerminalError, match="called like features: rate"):
        trips(shop, rows((1, 1), rate=[0.0]))


def test_a_source_that_is_not_ours_is_refused_by_name(shop: Shop) -> None:
    foreign = FileSource(name="elsewhere", path="x.parquet", timestamp_field="event_timestamp")
    with pytest.raises(SpecError, match=r"data source 'elsewhere' \(FileSource\) is not one of provender's"):
        ProvenderOfflineStore().validate_data_source(shop.store().config, foreign)


def test_a_dataset_is_saved_and_read_back(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), version(2, 20, 0), recorded=500)
    job = shop.store().get_historical_features(rows((2, 1), (1, 2)), FEATURES)
    storage = SavedDatasetFileStorage("saved/set.parquet")
    dataset = shop.store().create_saved_dataset(job, "set", storage)
    assert dataset.to_df()["trips"].tolist() == [20, 10]
    stored = pq.read_schema(shop.repo / "saved/set.parquet").field("event_timestamp").type
    assert stored == pa.timestamp("us", tz="UTC")
    again = shop.store().get_saved_dataset("set").to_df()
    assert again.sort_values("driver_id")["trips"].tolist() == [10, 20]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)


def test_pull_latest_and_pull_all_give_current_rows_only(shop: Shop) -> None:
    shop.ingest(
        version(1, 10, 0), version(1, 11, 10), version(1, 12, 10, 20), version(2, 20, 5), recorded=500
    )
    shop.ingest(version(2, None, 5, 30, deleted=True), version(3, 30, 400), recorded=600)
    store = shop.store()
    source = store.get_feature_view("driver_trips").batch_source
    columns = (["driver_id"], ["trips"], "event_timestamp", "created_timestamp")
    every = ProvenderOfflineStore.pull_all_from_table_or_query(store.config, source, *columns, at(0), at(60))
    assert sorted(every.to_arrow().column("trips").to_pylist()) == [10, 12]
    latest = ProvenderOfflineStore.pull_latest_from_table_or_query(
        store.config, source, *columns, at(0), at(60)
    )
    assert latest.to_arrow().select(["driver_id", "trips"]).to_pylist() == [{"driver_id": 1, "trips": 12}]
    unbounded = ProvenderOfflineStore.pull_all_from_table_or_query(
        store.config, source, ["driver_id"], [], "event_timestamp"
    )
    assert set(unbounded.to_arrow().column_names) == {"driver_id", "trips", "rate", "city", "event_timestamp"}


def test_the_store_follows_a_checkout_that_moved(shop: Shop, tmp_path: Path) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("feature_defs", "state"):
        (tmp_path / name).rename(moved / name)
    assert trips(Shop(moved), rows((1, 1))) == [10]


def test_a_range_without_end_or_start_uses_feasts_defaults(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    job = shop.store().get_historical_features(features=FEATURES, end_date=at(60))
    assert job.to_df()["trips"].tolist() == [10]
    assert shop.store().get_feature_view("driver_trips").ttl == timedelta(hours=2)


def test_logs_of_served_features_are_files_that_feast_reads_back(shop: Shop) -> None:
    store = shop.store()
    logging = LoggingConfig(destination=FileLoggingDestination(path="logs/served"))
    service = store.get_feature_service("everything")
    logs = pa.table({"driver_id": [1, 2], "driver_trips__trips": pa.array([3, 4], pa.int32())})
    logs = logs.append_column("__log_timestamp", pa.array([at(1), at(2)], pa.timestamp("ns", tz="UTC")))
    for _ in range(2):
        ProvenderOfflineStore.write_logged_features(
            store.config, logs, FeatureServiceLoggingSource(service, "shop"), logging, store.registry
        )
    source = FileSource(path="logs/served", timestamp_field="__log_timestamp")
    columns = (["driver_id"], ["driver_trips__trips"], "__log_timestamp", None)
    read = ProvenderOfflineStore.pull_all_from_table_or_query(store.config, source, *columns, at(2), at(9))
    assert read.to_arrow().column("driver_trips__trips").to_pylist() == [4, 4]

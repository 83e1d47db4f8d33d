"""What Feast's universal offline-store tests ask of a store, on Feast's own generated data and each engine.

``docs/feast-conformance.md`` lists those tests beside these, and what is different here. Expected values come from the
oracle.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake
from feast import FeatureStore, driver_test_data
from feast.errors import RequestDataNotFoundInEntityDfException
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

from provender.feast.apply import apply
from provender.ledger import Draft, Job, Kind, Ledger
from provender.point_in_time.rule import lookup
from provender.settings import load_settings
from provender.storage import storage_at
from tests.feast.conftest import SETTINGS

END = datetime(2026, 11, 22)
START = END - timedelta(days=3)
DRIVERS, CUSTOMERS, LOCATIONS = [5001, 5002, 5003], [1001, 1002], [1, 2, 3]
STAMP = pa.timestamp("us", tz="UTC")
TYPES = {
    "int32": "INT32",
    "int64": "INT64",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "str": "STRING",
    "object": "STRING",
}
TTL = timedelta(hours=30)
VIEWS = """
from datetime import timedelta
import pandas as pd
from feast import Entity, FeatureService, FeatureView, RequestSource, Field, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, Int32
import provender

INT = ValueType.INT64
driver = Entity(name="driver", join_keys=["driver_id"], value_type=INT)
customer = Entity(name="customer_id", join_keys=["customer_id"], value_type=INT)
location = Entity(name="location_id", join_keys=["location_id"], value_type=INT)


def view(name, source, entities, **more):
    return FeatureView(name=name, entities=entities, ttl=timedelta(hours=30),
                       schema=provender.schema(source), source=provender.source(source), **more)


driver_stats = view("driver_stats", "driver_hourly", [driver])
customer_profile = view("customer_profile", "customer_profile", [customer])
location_stats = view("location_stats", "location_hourly", [location])
order = view("order", "orders", [driver, customer])
mapped = provender.source("mapped")
mapped.field_mapping = {"column_name": "feature_name", "id": "driver_id"}
field_mapping = FeatureView(name="field_mapping", entities=[driver], ttl=timedelta(0), source=mapped,
    schema=[Field(name="driver_id", dtype=Int64), Field(name="feature_name", dtype=Int32)])
request = RequestSource(name="request", schema=[Field(name="val_to_add", dtype=Int64)])


@on_demand_feature_view(sources=[driver_stats[["conv_rate"]], request],
    schema=[Field(name=n, dtype=Float64) for n in ("conv_rate_plus_100", "conv_rate_plus_val_to_add")])
def conv_rate_plus_100(inputs):
    return pd.DataFrame({"conv_rate_plus_100": inputs["conv_rate"].astype("float64") + 100,
        "conv_rate_plus_val_to_add": inputs["conv_rate"].astype("float64") + inputs["val_to_add"]})


entity_mapping = FeatureService(name="entity_mapping", features=[
    location_stats.with_name("origin").with_join_key_map({"location_id": "origin_id"}),
    location_stats.with_name("destination").with_join_key_map({"location_id": "destination_id"})])
"""
FEATURES = {
    "driver_stats": ("driver_hourly", ["driver_id"], ["conv_rate", "avg_daily_trips"]),
    "customer_profile": (
        "customer_profile",
        ["customer_id"],
        ["current_balance", "avg_passenger_count", "lifetime_trip_count"],
    ),
    "order": ("orders", ["driver_id", "customer_id"], ["order_is_success"]),
}


class World:
    """Feast's universal data as our feature tables."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        np.random.seed(0)
        self.repo = folder / "feature_defs"
        for name in ("sources", "views"):
            (self.repo / name).mkdir(parents=True)
        (self.repo / "feature_store.yaml").write_text(yaml.safe_dump(settings))
        (self.repo / "views/universal.py").write_text(VIEWS)
        self.orders = driver_test_data.create_orders_df(
            customers=CUSTOMERS,
            drivers=DRIVERS,
            locations=LOCATIONS,
            start_date=START,
            end_date=END,
            order_count=20,
        )
        self.tables: dict[str, list[dict[str, Any]]] = {}
        make = driver_test_data
        self._add("driver_hourly", ["driver_id"], make.create_driver_hourly_stats_df(DRIVERS, START, END))
        self._add(
            "customer_profile", ["customer_id"], make.create_customer_daily_profile_df(CUSTOMERS, START, END)
        )
        self._add("location_hourly", ["location_id"], make.create_location_stats_df(LOCATIONS, START, END))
        self._add(
            "orders", ["driver_id", "customer_id"], self.orders.drop(columns=["origin_id", "destination_id"])
        )
        self._add("mapped", ["id"], make.create_field_mapping_df(START, END).assign(id=5001))
        apply(self.repo)

    @property
    def store(self) -> FeatureStore:
        return FeatureStore(str(self.repo))

    def entity_rows(self) -> pd.DataFrame:
        rows = self.orders.drop(columns=["order_is_success"])
        return rows.assign(val_to_add=range(len(rows)))

    def expected(self, view: str, rows: pd.DataFrame, ttl: timedelta = TTL) -> pd.DataFrame:
        source, keys, features = FEATURES[view]
        found = []
        for row in rows.to_dict("records"):
            moment = pd.Timestamp(row["event_timestamp"]).tz_convert("UTC").to_pydatetime()
            version = lookup(self.tables[source], {key: row[key] for key in keys}, moment, ttl=ttl)
            found.append({name: version and version[name] for name in features})
        return pd.DataFrame(found)

    def _add(self, name: str, keys: list[str], frame: pd.DataFrame) -> None:
        """A source called ``name`` with one table, holding ``frame`` as one committed ingest."""
        frame = frame.assign(event_timestamp=pd.to_datetime(frame["event_timestamp"], utc=True))
        frame = frame[
            [
                c
                for c in frame.columns
                if (str(frame[c].dtype) in TYPES and not c.startswith("driver_"))
                or c in keys
                or c == "event_timestamp"
            ]
        ]
        columns = [
            {"name": c, "type": TYPES[str(frame[c].dtype)]} for c in frame.columns if c != "event_timestamp"
        ]
        spec = _spec(name, keys, columns)
        (self.repo / f"sources/{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
        log = frame.drop_duplicates([*keys, "event_timestamp"]).copy()
        for column in ("created_timestamp", "recorded_timestamp", "period"):
            log[column] = log["event_timestamp"]
        table = pa.Table.from_pandas(log.assign(deleted=False), preserve_index=False)
        for column in ("event_timestamp", "created_timestamp", "recorded_timestamp", "period"):
            at = table.schema.get_field_index(column)
            table = table.set_column(at, column, table.column(column).cast(STAMP))
        storage = storage_at(load_settings(self.repo).storage_root)
        write_deltalake(storage.uri(f"tables/{name}/{name}"), table)
        committed = Draft(
            Job.INGEST, "a", Kind.MANIFEST, {}, datetime.now(UTC), datetime(2026, 12, 1, tzinfo=UTC)
        )
        Ledger(storage, name).commit(committed)
        self.tables[name] = table.to_pylist()


def _spec(name: str, keys: list[str], columns: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {
        "name": name,
        "description": "Feast's.",
        "owner": "tests",
        "cadence": "daily",
        "start": "2026-11-01",
        "raw": {"uri": "../raw/{partition}.csv"},
        "event_timestamp": {"column": "at"},
        "columns": [*columns, {"name": "at", "type": "TIMESTAMP"}],
        "tables": [{"name": name, "keys": keys}],
    }


@pytest.fixture(scope="module", params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def world(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> World:
    """Applied once for all tests, which read it; a saved data set only adds to it."""
    settings = yaml.safe_load(SETTINGS)
    settings["offline_store"]["engine"] = request.param
    if request.param == "spark":
        settings["provender"]["spark"] = {"remote": request.getfixturevalue("engine_url")}
    return World(tmp_path_factory.mktemp("world"), settings)


def references() -> list[str]:
    return [f"{view}:{name}" for view, (_, _, names) in FEATURES.items() for name in names]


def assert_values(found: pd.DataFrame, world: World, rows: pd.DataFrame, prefix: bool = False) -> None:
    for view, (_, _, names) in FEATURES.items():
        expected = world.expected(view, rows)
        for name in names:
            got = found[f"{view}__{name}" if prefix else name]
            np.testing.assert_array_equal(
                got.astype("float64"), expected[name].astype("float64"), err_msg=name
            )


@pytest.mark.parametrize("full_feature_names", [True, False])
def test_views_of_several_entities_on_demand_features_and_field_mappings(
    world: World, full_feature_names: bool
) -> None:
    rows = world.entity_rows()
    wanted = [*references(), "field_mapping:feature_name", "conv_rate_plus_100:conv_rate_plus_val_to_add"]
    job = world.store.get_historical_features(rows, wanted, full_feature_names=full_feature_names)
    found = job.to_df()
    assert_values(found, world, rows, full_feature_names)
    assert found["order_id"].tolist() == rows["order_id"].tolist()
    mapped = found["field_mapping__feature_name" if full_feature_names else "feature_name"]
    assert mapped[rows["driver_id"] != 5001].isna().all() and mapped[rows["driver_id"] == 5001].notna().any()
    rate = found["driver_stats__conv_rate" if full_feature_names else "conv_rate"].astype("float64")
    added = found[("conv_rate_plus_100__" if full_feature_names else "") + "conv_rate_plus_val_to_add"]
    np.testing.assert_allclose(added, rate + rows["val_to_add"].to_numpy())
    pd.testing.assert_frame_equal(found, job.to_arrow().to_pandas())
    assert job.supports_remote_storage_export() and job.to_remote_storage()


def test_one_view_joined_twice_under_other_keys(world: World) -> None:
    rows = world.entity_rows()
    service = world.store.get_feature_service("entity_mapping")
    found = world.store.get_historical_features(rows, service, full_feature_names=True).to_df()
    for end in ("origin", "destination"):
        keyed = rows.assign(location_id=rows[f"{end}_id"]).to_dict("records")
        expected = [
            lookup(
                world.tables["location_hourly"],
                {"location_id": row["location_id"]},
                pd.Timestamp(row["event_timestamp"]).tz_convert("UTC").to_pydatetime(),
                ttl=TTL,
            )
            for row in keyed
        ]
        values = [version and version["temperature"] for version in expected]
        assert (
            found[f"{end}__temperature"]
            .astype(object)
            .where(found[f"{end}__temperature"].notna(), None)
            .tolist()
            == values
        )


def test_only_the_on_demand_features_asked_for_come_back(world: World) -> None:
    found = world.store.get_historical_features(
        world.entity_rows(), ["conv_rate_plus_100:conv_rate_plus_100"]
    ).to_df()
    assert "conv_rate_plus_100" in found and "conv_rate_plus_val_to_add" not in found


def test_missing_request_data_is_feasts_error(world: World) -> None:
    rows = world.entity_rows().drop(columns="val_to_add")
    with pytest.raises(RequestDataNotFoundInEntityDfException):
        world.store.get_historical_features(rows, ["conv_rate_plus_100:conv_rate_plus_val_to_add"])


def test_a_feature_that_the_view_has_not_is_a_key_error(world: World) -> None:
    with pytest.raises(KeyError):
        world.store.get_historical_features(world.entity_rows(), ["driver_stats:nothing"]).to_df()


def test_entity_rows_from_a_query(world: World) -> None:
    query = "SELECT driver_id, customer_id, event_timestamp FROM orders.orders ORDER BY order_id"
    rows = world.orders.drop_duplicates(["driver_id", "customer_id", "event_timestamp"])
    found = world.store.get_historical_features(query, references()).to_df()
    assert len(found) == len(rows)
    assert_values(found, world, found)


def test_a_saved_dataset_reads_back_as_the_job_gave_it(world: World) -> None:
    job = world.store.get_historical_features(world.entity_rows(), references(), full_feature_names=True)
    storage = SavedDatasetFileStorage("saved/universal.parquet")
    dataset = world.store.create_saved_dataset(
        job, "saved", storage, tags={"env": "test"}, allow_overwrite=True
    )
    found = dataset.to_df()  # Feast reads join keys, features and the timestamp, nothing else
    assert {"order_id", "val_to_add"}.isdisjoint(found.columns)
    pd.testing.assert_frame_equal(found, job.to_df()[found.columns], check_dtype=False)
    assert_values(found, world, world.entity_rows(), prefix=True)


def test_arrow_and_pandas_types_are_the_columns(world: World) -> None:
    job = world.store.get_historical_features(world.entity_rows(), references())
    table = job.to_arrow()
    types = {
        name: str(table.schema.field(name).type)
        for name in ("conv_rate", "avg_daily_trips", "lifetime_trip_count")
    }
    assert types == {"conv_rate": "float", "avg_daily_trips": "int64", "lifetime_trip_count": "int32"}
    assert pd.api.types.is_float_dtype(job.to_df()["conv_rate"])


def test_every_entity_of_a_range_comes_back_as_of_its_end(world: World) -> None:
    end = END.replace(tzinfo=UTC)
    found = world.store.get_historical_features(
        features=["driver_stats:avg_daily_trips"], start_date=end - timedelta(days=3), end_date=end
    ).to_df()
    assert sorted(found["driver_id"]) == DRIVERS
    latest = {
        row["driver_id"]: row["avg_daily_trips"]
        for row in sorted(world.tables["driver_hourly"], key=lambda r: r["event_timestamp"])
    }
    assert dict(zip(found["driver_id"], found["avg_daily_trips"], strict=True)) == latest

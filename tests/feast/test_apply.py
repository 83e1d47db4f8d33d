"""``provender apply``: what changes is said, then done."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest

from provender.errors import OnlineStoreError, SettingsError, SpecError
from provender.feast.apply import apply, plan
from provender.feast.repo import in_repo, read_contents
from provender.online.marker import Marker, read_markers, write_marker
from provender.online.views import load_applied_views
from provender.online.writer import OnlineWriter
from provender.settings import load_settings
from provender.storage import storage_at
from tests.feast.conftest import SETTINGS, VIEWS, Shop
from tests.logged import logged
from tests.point_in_time.logs import STAMP, at
from tests.servers import RedisServer


@pytest.fixture
def shop(new_shop: Shop) -> Shop:
    """Applied where it is: a copy of another would have data sources at other places to apply."""
    apply(new_shop.repo)
    return new_shop


def said(shop: Shop) -> list[str]:
    """What an apply logs."""
    with logged() as lines:
        apply(shop.repo)
    return lines


def test_a_plan_says_what_would_change_and_changes_nothing(new_shop: Shop) -> None:
    changes = plan(new_shop.repo).changes
    assert {"+ data source trips", "+ entity driver", "+ feature view driver_trips"} <= set(changes)
    assert new_shop.store().list_feature_views() == []
    assert plan(new_shop.repo).changes == [line for line in changes if "project" not in line]


def test_a_second_apply_changes_nothing(shop: Shop) -> None:
    assert said(shop) == ["nothing to change in the registry"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("hours=2", "hours=3", "~ feature view driver_trips: ttl"),
        ('extra"]).', 'extra"] * 2).', "~ on demand feature view sums: feature_transformation"),
        ('"driver", join', '"driver", description="Who", join', "~ entity driver: description"),
    ],
)
def test_a_change_is_named_and_made(shop: Shop, old: str, new: str, line: str) -> None:
    assert old in VIEWS
    shop.write("views/trips_views.py", VIEWS.replace(old, new))
    assert line in said(shop)
    assert said(shop) == ["nothing to change in the registry"]


def test_applying_leaves_the_process_and_the_repo_as_they_were(shop: Shop) -> None:
    before = (os.getcwd(), list(sys.path))
    apply(shop.repo)
    assert (os.getcwd(), list(sys.path)) == before
    assert not [name for name in sys.modules if name.startswith("views")]
    assert not list(shop.repo.rglob("__pycache__"))


def test_the_jobs_get_the_views_without_feast(shop: Shop) -> None:
    (view,) = load_applied_views(storage_at(load_settings(shop.repo).storage_root), "shop")
    assert (view.view, view.source, view.table, view.online) == ("driver_trips", "trips", "trips", True)
    assert view.join_keys == {"driver_id": "INT64"}
    assert view.features == {"trips": "INT32", "rate": "FLOAT", "city": "STRING"}


def test_a_schema_without_the_key_and_a_field_mapping_are_understood(new_shop: Shop) -> None:
    new_shop.write(
        "views/trips_views.py",
        """
from feast import Entity, FeatureView, Field, ValueType
from feast.types import Int32
import provender

driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
source = provender.source("trips")
source.field_mapping = {"driver_id": "driver", "trips": "journeys"}
view = FeatureView(name="v", entities=[driver], schema=[Field(name="journeys", dtype=Int32)], source=source)
""",
    )
    (view,) = apply(new_shop.repo).views
    assert view.join_keys == {"driver": "INT64"}
    assert view.columns == {"driver": "driver_id", "journeys": "trips"}
    new_shop.ingest(
        {"driver_id": 1, "trips": 10, "event_timestamp": at(0), "created_timestamp": at(0)}, recorded=500
    )
    import pandas as pd

    frame = pd.DataFrame({"driver": [1], "event_timestamp": [pd.Timestamp(at(1))]})
    assert new_shop.store().get_historical_features(frame, ["v:journeys"]).to_df()["journeys"].tolist() == [
        10
    ]


def test_everything_that_is_wrong_is_said_in_one_go_and_nothing_is_registered(new_shop: Shop) -> None:
    new_shop.write(
        "views/trips_views.py",
        """
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Float32, Int64, String
import provender

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
ours = provender.source("trips")
theirs = FileSource(name="theirs", path="x.parquet", timestamp_field="event_timestamp")
key = Field(name="driver_id", dtype=Int64)
a = FeatureView(name="a", entities=[driver], schema=[key, Field(name="x", dtype=Int64)], source=theirs)
b = FeatureView(name="b", entities=[city], schema=[Field(name="trips", dtype=Int64)], source=ours)
c = FeatureView(name="c", entities=[driver], schema=[key, Field(name="rate", dtype=Int64)], source=ours)
d = FeatureView(name="d", entities=[driver], schema=[key, Field(name="rates", dtype=Float32)], source=ours)
e = FeatureView(name="e", entities=[driver], schema=[key, Field(name="rate", dtype=Array(Float32))], source=ours)
""",
    )
    with pytest.raises(SpecError) as caught:
        apply(new_shop.repo)
    lines = caught.value.what.splitlines()
    assert len(lines) == 5
    assert "'theirs' (FileSource) is not one of provender's" in lines[0]
    assert "view 'b' joins by (city), but table trips.trips has one row per (driver_id)" in lines[1]
    assert "'rate' of view 'c' is declared INT64, column 'rate' of table trips.trips is FLOAT" in lines[2]
    assert "view 'd' has features that table trips.trips has not: rates" in lines[3]
    assert "'rate' of view 'e' has type Array(Float32)" in lines[4]
    assert new_shop.store().list_feature_views() == []


@pytest.mark.slow  # processes that import Feast
def test_a_file_that_cannot_be_imported_is_named_with_its_line(new_shop: Shop) -> None:
    new_shop.write("views/broken.py", "import provender\n\n1 / 0\n")
    command = [sys.executable, "-m", "provender.feast.apply", "--repo", str(new_shop.repo), "--dry-run"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert found.returncode == SpecError.exit_code
    assert "views/broken.py:3" in found.stderr


def test_a_view_that_computes_its_features_itself_is_refused(new_shop: Shop) -> None:
    new_shop.write(
        "views/trips_views.py",
        """
from datetime import timedelta
from feast import BatchFeatureView, Entity, Field, ValueType
from feast.aggregation import Aggregation
import provender

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
view = BatchFeatureView(
    name="sums", entities=[driver], schema=provender.schema("trips"), source=provender.source("trips"), mode="python",
    aggregations=[Aggregation(column="trips", function="sum", time_window=timedelta(days=1))],
)
""",
    )
    with pytest.raises(SpecError, match="view 'sums' computes its features itself"):
        apply(new_shop.repo)


def _one_row() -> pa.RecordBatch:
    values = {"driver_id": [1], "trips": pa.array([1], pa.int32()), "rate": pa.array([1.0]), "city": ["Z"]}
    times = ("event_timestamp", "created_timestamp", "guard_event", "guard_created")
    return pa.record_batch(values | {name: pa.array([at(0)], STAMP) for name in times})


@pytest.mark.redis
def test_a_deleted_view_takes_its_online_values_and_marker_with_it(
    new_shop: Shop, redis_server: RedisServer
) -> None:
    new_shop.write("feature_store.yaml", SETTINGS.replace("127.0.0.1:1", redis_server.address))
    other = (
        VIEWS
        + '\nspare = FeatureView(name="spare", entities=[driver], schema=driver_trips.schema, '
        + "source=driver_trips.source)\n"
    )
    new_shop.write("views/trips_views.py", other)
    apply(new_shop.repo)
    writer = OnlineWriter(redis_server.address, "shop")
    for view in load_applied_views(storage_at(load_settings(new_shop.repo).storage_root), "shop"):
        writer.write(view.layout, [_one_row()])
        write_marker(redis_server.address, "shop", view.view, Marker("t", "i", "2026", 1))
    new_shop.write("views/trips_views.py", VIEWS)
    assert {"- feature view spare", "- online values of spare: 1 entities"} <= set(said(new_shop))
    assert list(read_markers(redis_server.address, "shop")) == ["driver_trips"]
    (key,) = [k for k in redis_server.client().keys("*") if not k.startswith(b"provender")]
    assert not [f for f in redis_server.client().hkeys(key) if f.endswith(b":spare")]
    assert [v.name for v in new_shop.store().list_feature_views()] == ["driver_trips"]


@pytest.mark.redis
@pytest.mark.parametrize(
    "ended", ["", VIEWS.replace("hours=2),", "hours=2), online=False,")], ids=["deleted", "offline"]
)
def test_a_view_that_is_not_online_any_more_takes_with_it_what_was_taken_out_of_it_before(
    new_shop: Shop, redis_server: RedisServer, ended: str
) -> None:
    new_shop.write("feature_store.yaml", SETTINGS.replace("127.0.0.1:1", redis_server.address))
    apply(new_shop.repo)
    storage = storage_at(load_settings(new_shop.repo).storage_root)
    (applied,) = load_applied_views(storage, "shop")
    OnlineWriter(redis_server.address, "shop").write(applied.layout, [_one_row()])
    write_marker(redis_server.address, "shop", applied.view, Marker("t", "i", "2026", 1))
    kept = 'schema=[f for f in provender.schema("trips") if f.name != "city"]'
    new_shop.write("views/trips_views.py", VIEWS.replace('schema=provender.schema("trips")', kept))
    apply(new_shop.repo)
    assert redis_server.client().dbsize() == 2, "nothing is removed before the view is rewritten"
    new_shop.write("views/trips_views.py", ended)
    assert "- online values of driver_trips: 1 entities" in said(new_shop)
    assert redis_server.client().keys("*") == []


def test_a_deleted_view_without_redis_is_an_error_and_stays_registered(shop: Shop) -> None:
    shop.write("views/trips_views.py", "")
    with pytest.raises(OnlineStoreError, match="127.0.0.1:1"):
        apply(shop.repo)
    assert [v.name for v in shop.store().list_feature_views()] == ["driver_trips"]


@pytest.mark.redis
def test_feasts_stock_online_reader_reads_what_the_writer_wrote(
    new_shop: Shop, redis_server: RedisServer
) -> None:
    new_shop.write("feature_store.yaml", SETTINGS.replace("127.0.0.1:1", redis_server.address))
    (view,) = apply(new_shop.repo).views
    OnlineWriter(redis_server.address, "shop").write(view.layout, [_one_row()])
    features = ["driver_trips:trips", "driver_trips:rate", "driver_trips:city"]
    found: dict[str, Any] = (
        new_shop.store().get_online_features(features, [{"driver_id": 1}, {"driver_id": 2}]).to_dict()
    )
    assert (found["trips"], found["rate"], found["city"]) == ([1, None], [1.0, None], ["Z", None])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import sys\nsys.exit(0)", "ends the program when it is imported"),
        ("import os\nos._exit(0)", "ends the program when it is imported"),
        ("import os\nos.execlp('true', 'true')", "ends the program when it is imported"),
        ("def f():\n    f()\n\n\nf()", "cannot be imported: RecursionError"),
        ("import nowhere_at_all", "cannot be imported: ModuleNotFoundError"),
        ("class Odd(BaseException): ...\n\n\nraise Odd('x')", "cannot be imported: Odd: x"),
    ],
)
def test_whatever_a_file_does_the_apply_fails_and_names_it(
    new_shop: Shop, capsys: pytest.CaptureFixture[str], body: str, words: str
) -> None:
    new_shop.write("views/odd.py", f"print('hello')\n{body}\n")
    with pytest.raises(SpecError, match=words) as caught:
        plan(new_shop.repo)
    assert "views/odd.py:" in caught.value.where
    assert "hello" not in capsys.readouterr().out


def test_the_texts_say_file_and_line_of_what_feast_only_raises(new_shop: Shop) -> None:
    new_shop.write("views/trips_views.py", VIEWS.replace("ValueType.INT64", "ValueType.INT32"))
    with pytest.raises(
        SpecError, match=r"trips_views.py:\d+: the entity's type is INT32, and key 'driver_id'"
    ):
        plan(new_shop.repo)


def test_sql_that_cannot_give_what_is_declared_is_refused_with_its_line(new_shop: Shop) -> None:
    table = "  - {name: trips, keys: [driver_id], sql: trips.sql, features: [{name: trips, type: INT32}]}\n"
    spec = new_shop.repo / "sources" / "trips.yaml"
    spec.write_text(spec.read_text().replace("  - {name: trips, keys: [driver_id]}\n", table))
    new_shop.write(
        "sources/trips.sql", "SELECT driver_id,\n  sum(tripz) AS trips\nFROM trips GROUP BY driver_id"
    )
    new_shop.write("views/trips_views.py", VIEWS.partition("request =")[0])
    with pytest.raises(SpecError, match="trips.sql:2: there is no column 'tripz'; did you mean 'trips'?"):
        plan(new_shop.repo)


def test_a_view_twice_in_a_service_is_refused_and_one_that_is_registered_blocks_nothing(
    new_shop: Shop,
) -> None:
    twice = 'service = FeatureService(name="s", features=[driver_trips, driver_trips.with_name("again")])\n'
    views = VIEWS.partition("service =")[0]
    new_shop.write("views/trips_views.py", views + twice)
    with pytest.raises(SpecError, match="'driver_trips' more than once under one name"):
        plan(new_shop.repo)
    # As an older version registered it.
    with in_repo(new_shop.repo):
        contents = read_contents(load_settings(new_shop.repo))
        store = new_shop.store()
        store.apply(
            [*contents.data_sources, *contents.entities, *contents.feature_views, *contents.feature_services]
        )
    once = twice.replace("driver_trips, ", 'driver_trips.with_name("first"), ')
    new_shop.write("views/trips_views.py", views + once)
    lines = said(new_shop)
    assert "~ feature service s: features" in lines
    assert said(new_shop) == ["nothing to change in the registry"]


def test_an_entry_that_cannot_be_read_back_is_an_error_with_a_way_out(shop: Shop) -> None:
    database = shop.root / "state" / "registry.db"
    with closing(sqlite3.connect(database)) as registry, registry:
        registry.execute("UPDATE feature_services SET feature_service_proto = x'ff'")
    with pytest.raises(SettingsError, match="Feast cannot read its registry back") as caught:
        apply(shop.repo)
    assert "put that database aside" in caught.value.remedy
    database.rename(database.with_suffix(".aside"))
    assert "+ feature service everything" in said(shop)

"""The same training set from Feast's own BigQuery store, on the emulator, and from the Delta store."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore
from feast.repo_config import load_repo_config
from feast.repo_operations import apply_total

from provender.feast.apply import apply
from provender.feast.repo import in_repo
from tests.bigquery.conftest import Warehouse
from tests.bigquery.emulator import PROJECT
from tests.feast.conftest import version
from tests.point_in_time.logs import at

pytestmark = [
    pytest.mark.slow,
    pytest.mark.bigquery,
    pytest.mark.gcs,
    pytest.mark.usefixtures("feast_on_emulator"),
]

FEATURES = ["driver_trips:trips", "driver_trips:rate", "driver_trips:city"]
HOUR, DAY = 60.0, 24 * 60.0
SECOND_REPO = """
project: demo_bigquery
provider: local
registry: {{registry_type: sql, path: "sqlite:///{registry}"}}
online_store: null
offline_store: {{type: bigquery, project_id: {project}, dataset: {dataset}, location: US}}
entity_key_serialization_version: 3
"""
DEFINITIONS = """
import provender

globals().update(provender.definitions("../feature_defs"))
"""


class Stores:
    """Both Feast projects over one set of definitions."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.second = warehouse.folder / "feature_defs_bigquery"
        registry = warehouse.folder / "state/bigquery.db"
        warehouse.write(
            "feature_defs_bigquery/feature_store.yaml",
            SECOND_REPO.format(registry=registry, project=PROJECT, dataset=warehouse.dataset),
        )
        warehouse.write("feature_defs_bigquery/definitions.py", DEFINITIONS)

    def apply(self, *, by_command: bool = False) -> None:
        """``provender apply`` on the one, Feast's own ``feast apply`` on the other."""
        apply(self.warehouse.repo)
        if not by_command:  # the same in this process: it saves Feast's import
            with in_repo(self.second):
                apply_total(
                    load_repo_config(self.second, self.second / "feature_store.yaml"), self.second, False
                )
            return
        feast = str(Path(sys.executable).with_name("feast"))
        done = subprocess.run(
            [feast, "-c", str(self.second), "apply"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def training_sets(self, entities: pd.DataFrame, **options: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
        """From the Delta store and from Feast's BigQuery store, rows in one order."""
        frames = []
        for repo in (self.warehouse.repo, self.second):
            job = FeatureStore(str(repo)).get_historical_features(entities.copy(), FEATURES, **options)
            frames.append(_comparable(job.to_df()))
        return frames[0], frames[1]


def _comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """Values, not the types in which either store hands them over."""
    plain = pd.DataFrame(
        {
            "row": frame["row"].astype("int64"),
            "driver_id": frame["driver_id"].astype("int64"),
            "event_timestamp": pd.to_datetime(frame["event_timestamp"], utc=True).astype(
                "datetime64[us, UTC]"
            ),
            "trips": frame["trips"].astype("Float64"),
            "rate": frame["rate"].astype("Float64"),
            "city": frame["city"].astype("string"),
        }
    )
    return plain.sort_values("row", ignore_index=True)


@pytest.fixture
def stores(warehouse: Warehouse) -> Stores:
    return Stores(warehouse)


def test_late_rows_corrections_and_a_vanished_row_give_the_same_training_set(stores: Stores) -> None:
    warehouse = stores.warehouse
    warehouse.ingest(
        version(7, 12, 1 * HOUR, 2 * HOUR),
        version(7, 15, DAY + 1 * HOUR, DAY + 2 * HOUR),
        version(8, 3, 1 * HOUR, 2 * HOUR),
        version(8, 4, 2 * HOUR, 3 * HOUR),
        recorded=2 * DAY,
    )
    warehouse.publish("one")
    stores.apply()
    warehouse.ingest(
        version(7, 14, DAY + 1 * HOUR, 3 * DAY),  # a correction
        version(7, 13, 1.5 * HOUR, 3 * DAY),  # a late row
        version(8, None, 2 * HOUR, 3 * DAY, deleted=True),  # it vanished
        recorded=4 * DAY,
    )
    warehouse.publish("two")
    moments = [
        0,
        1 * HOUR,
        1.5 * HOUR,
        2 * HOUR,
        3 * HOUR,
        3.5 * HOUR,
        4 * HOUR,
        DAY + 1 * HOUR,
        DAY + 3 * HOUR,
        3 * DAY,
    ]
    entities = _entities(list(itertools.product((7, 8, 9), moments)))
    delta, bigquery = stores.training_sets(entities)
    pd.testing.assert_frame_equal(delta, bigquery)
    assert delta["trips"].notna().sum() > 5


def test_knowing_only_what_was_created_by_then_gives_the_same_unless_a_row_was_withdrawn(
    stores: Stores,
) -> None:
    stores.warehouse.ingest(version(7, 12, 60, 120), version(8, 5, 60, 120), recorded=DAY)
    stores.warehouse.ingest(version(7, 14, 60, 150), recorded=2 * DAY)  # a correction
    stores.warehouse.publish()
    stores.apply()
    entities = _entities(
        [(driver, moment) for driver in (7, 8) for moment in (119, 120, 149, 150, 170, 180, 181)]
    )
    delta, bigquery = stores.training_sets(entities, filter_by_created_timestamp=True)
    pd.testing.assert_frame_equal(delta, bigquery)
    assert delta["trips"].dropna().tolist() == [12, 12, 14, 14, 14, 5, 5, 5, 5, 5]
    # Where they differ: Feast's store cannot fall back to what was there before a row was withdrawn.
    stores.warehouse.ingest(version(8, None, 60, 160, deleted=True), recorded=3 * DAY)
    stores.warehouse.publish("two")
    delta, bigquery = stores.training_sets(entities, filter_by_created_timestamp=True)
    assert delta["trips"].dropna().tolist() == [12, 12, 14, 14, 14, 5, 5, 5]
    assert bigquery["trips"].dropna().tolist() == [12, 12, 14, 14, 14]


@pytest.mark.parametrize("seed", range(3))
def test_generated_histories_give_the_same_training_set(stores: Stores, seed: int) -> None:
    chance = random.Random(seed)
    history = list(_history(chance))
    for number, rows in enumerate(history):
        stores.warehouse.ingest(*rows, recorded=(number + 4) * DAY)
        if number % 2:
            stores.warehouse.publish(f"attempt-{number}")
        if number == 1:
            stores.apply()
    moments = [chance.randrange(0, int(3 * DAY), 30) for _ in range(150)]
    entities = _entities([(chance.randrange(6), moment) for moment in moments])
    delta, bigquery = stores.training_sets(entities)
    pd.testing.assert_frame_equal(delta, bigquery)
    assert 10 < delta["trips"].notna().sum() < 150


def _history(chance: random.Random) -> Iterator[list[dict[str, Any]]]:
    """Six ingests: new rows, late ones, corrections, recomputed ones (all times but the recorded one are equal),
    withdrawn ones, and some that come back."""
    newest: dict[tuple[int, int], float] = {}
    for _ in range(6):
        rows = []
        for _ in range(40):
            key = chance.randrange(5), chance.randrange(0, int(3 * DAY), 30)
            if any((row["driver_id"], row["event_timestamp"]) == (key[0], at(key[1])) for row in rows):
                continue
            created = newest.get(key, key[1]) + chance.choice((0, 30, 600))
            newest[key] = created
            is_deleted = chance.random() < 0.2
            rows.append(
                version(
                    key[0], None if is_deleted else chance.randrange(100), key[1], created, deleted=is_deleted
                )
            )
        yield rows


def _entities(pairs: Sequence[tuple[int, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "driver_id": [driver for driver, _ in pairs],
            "event_timestamp": [at(moment) for _, moment in pairs],
            "row": range(len(pairs)),
        }
    )


def test_a_repo_over_bigquery_has_the_same_views_from_the_published_tables(stores: Stores) -> None:
    stores.warehouse.ingest(version(7, 12, 60), recorded=DAY)
    stores.warehouse.publish()
    stores.apply(by_command=True)
    store = FeatureStore(str(stores.second))
    view = store.get_feature_view("driver_trips")
    assert type(view.batch_source).__name__ == "BigQuerySource"
    assert view.batch_source.table == f"{PROJECT}.{stores.warehouse.dataset}.trips"
    assert [each.name for each in store.list_feature_services()] == ["everything"]
    assert FeatureStore(str(stores.warehouse.repo)).get_feature_view("driver_trips").schema == view.schema

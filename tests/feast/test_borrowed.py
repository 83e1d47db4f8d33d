"""``provender.definitions`` and sources over BigQuery, without BigQuery."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from feast import BigQuerySource, FeatureView

import provender
from provender.errors import SettingsError
from provender.feast.apply import plan
from tests.feast.conftest import SETTINGS, Shop

BLOCK = "provender: {bigquery: {project: my-project, dataset: features}, "
OVER_BIGQUERY = """
project: demo_bigquery
registry: {registry_type: sql, path: "sqlite:///../state/bigquery.db"}
offline_store: {type: bigquery, project_id: my-project, dataset: scratch}
entity_key_serialization_version: 3
"""


@pytest.fixture
def second(new_shop: Shop) -> Shop:
    """The shop with a data set, and beside it a repo that borrows its definitions."""
    new_shop.write("feature_store.yaml", SETTINGS.replace("provender: {", BLOCK))
    new_shop.write("../over_bigquery/feature_store.yaml", OVER_BIGQUERY)
    new_shop.write(
        "../over_bigquery/definitions.py",
        'import provender\nglobals().update(provender.definitions("../feature_defs"))\n',
    )
    return new_shop


def borrowed(shop: Shop) -> dict[str, Any]:
    return runpy.run_path(str(shop.root / "over_bigquery/definitions.py"))


def test_borrowed_views_stand_on_the_published_tables(second: Shop) -> None:
    view = borrowed(second)["views.trips_views.driver_trips"]
    assert type(view) is FeatureView
    assert type(view.batch_source) is BigQuerySource
    assert view.batch_source.table == "my-project.features.trips"
    assert view.batch_source.created_timestamp_column == "created_timestamp"
    assert view.batch_source.description == "What drivers did"


def test_the_lender_still_reads_its_delta_tables(second: Shop) -> None:
    borrowed(second)
    assert type(provender.source("trips", repo=second.repo)).__name__ == "SparkSource"


def test_a_table_of_another_name_than_its_source_has_both_names(second: Shop) -> None:
    spec = (
        (second.repo / "sources/trips.yaml").read_text().replace("{name: trips, keys", "{name: hourly, keys")
    )
    second.write("sources/trips.yaml", spec)
    view = borrowed(second)["views.trips_views.driver_trips"]
    assert view.batch_source.table == "my-project.features.trips__hourly"


def test_a_lender_without_a_data_set_is_an_error_with_the_lines_to_add(second: Shop) -> None:
    second.write("feature_store.yaml", SETTINGS)
    with pytest.raises(SettingsError, match="name no BigQuery data set") as caught:
        borrowed(second)
    assert "provender.bigquery" in caught.value.remedy


def test_a_folder_that_is_no_feature_repo_is_named(second: Shop) -> None:
    second.write(
        "../over_bigquery/definitions.py", 'import provender\nprovender.definitions("../features")\n'
    )
    with pytest.raises(SettingsError, match="no feature repo") as caught:
        borrowed(second)
    assert caught.value.where.endswith("/features")


def test_our_own_apply_leaves_a_repo_over_bigquery_to_feasts(second: Shop) -> None:
    with pytest.raises(SettingsError, match="Feast's own store") as caught:
        plan(second.root / "over_bigquery")
    assert caught.value.remedy == f"feast -c {second.root / 'over_bigquery'} apply"

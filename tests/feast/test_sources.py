"""``provender.source`` and ``provender.schema``."""

from __future__ import annotations

import subprocess
import sys

import pytest
from feast import Field
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Float32, Int32, Int64, String

import provender
from provender.errors import SpecError
from provender.feast.apply import apply
from provender.feast.differences import differences
from tests.feast.conftest import SPEC, Shop


def test_a_source_is_the_stock_one_with_everything_from_the_spec(new_shop: Shop) -> None:
    source = provender.source("trips", repo=new_shop.repo)
    assert type(source) is SparkSource
    assert source.path == f"{(new_shop.root / 'state/storage').as_uri()}/tables/trips/trips"
    assert (source.timestamp_field, source.created_timestamp_column) == (
        "event_timestamp",
        "created_timestamp",
    )
    assert (source.name, source.description, source.owner) == ("trips", "What drivers did", "drivers")
    assert source.tags["demo"] == ""


def test_a_source_survives_the_registry(new_shop: Shop) -> None:
    apply(new_shop.repo)
    registered = new_shop.store().get_data_source("trips")
    assert differences(registered, provender.source("trips", repo=new_shop.repo)) == []
    assert registered.table_format.format_type.value == "delta"


def test_a_schema_has_keys_and_features_with_types_and_descriptions(new_shop: Shop) -> None:
    assert provender.schema("trips", repo=new_shop.repo) == [
        Field(name="driver_id", dtype=Int64),
        Field(name="trips", dtype=Int32, description="How many"),
        Field(name="rate", dtype=Float32),
        Field(name="city", dtype=String),
    ]


def test_a_table_is_named_where_there_are_several(new_shop: Shop) -> None:
    new_shop.write("sources/trips.yaml", SPEC + "  - {name: cities, keys: [city]}\n")
    assert provender.source("trips", "cities", repo=new_shop.repo).name == "trips.cities"
    with pytest.raises(SpecError, match="several tables: trips, cities"):
        provender.source("trips", repo=new_shop.repo)
    with pytest.raises(SpecError, match="no table 'town'"):
        provender.source("trips", "town", repo=new_shop.repo)


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(new_shop: Shop) -> None:
    with pytest.raises(SpecError) as caught:
        provender.source("trip", repo=new_shop.repo)
    assert "trips" in caught.value.remedy


def test_importing_provender_imports_neither_feast_nor_pyspark() -> None:
    code = "import sys, provender; print([m for m in ('feast', 'pyspark', 'pandas', 'redis') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sauce'"):
        provender.sauce  # noqa: B018

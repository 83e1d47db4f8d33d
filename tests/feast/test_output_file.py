"""``FeatureStore.get_historical_features(df, …).get_output_file_uri()``."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

from provender.errors import TrainingSetError
from provender.settings import load_settings
from provender.storage import local_path, storage_at
from provender.training_sets.folder import open_training_set
from tests.feast.conftest import Shop, version
from tests.point_in_time.logs import at

FEATURES = ["driver_trips:trips", "driver_trips:rate"]


def frame(*pairs: tuple[int, float]) -> pd.DataFrame:
    times = pd.to_datetime([at(m) for _, m in pairs], utc=True)
    return pd.DataFrame({"driver_id": [d for d, _ in pairs], "event_timestamp": times})


def test_the_file_holds_what_the_job_gives_with_a_lockfile_beside_it(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), version(2, 20, 0), recorded=500)
    job = shop.store().get_historical_features(frame((2, 30), (1, 20)), FEATURES)
    uri = job.get_output_file_uri(timeout=60)
    data = pq.read_table(local_path(uri))
    expected = job.to_df().sort_values("event_timestamp").reset_index(drop=True)
    assert data.to_pandas()["trips"].tolist() == expected["trips"].tolist() == [10, 20]
    assert data.schema.field("event_timestamp").type.unit == "us"
    storage = storage_at(load_settings(shop.repo).storage_root)
    lockfile = open_training_set(storage, uri.removesuffix("/data.parquet")).lockfile
    assert lockfile.inputs.features == FEATURES and not lockfile.inputs.as_known
    assert lockfile.inputs.logs[0].ttl_seconds == 7200


def test_the_same_rows_are_the_same_file_until_the_log_grows(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)

    def uri(*pairs: tuple[int, float]) -> str:
        job = shop.store().get_historical_features(frame(*pairs), FEATURES)
        return str(job.get_output_file_uri())

    first = uri((1, 20), (1, 30))
    assert uri((1, 30), (1, 20)) == first
    assert uri((1, 30)) != first
    shop.ingest(version(1, 11, 10), recorded=600)
    assert uri((1, 20), (1, 30)) != first


def test_on_demand_views_are_refused_by_name(shop: Shop) -> None:
    shop.ingest(version(1, 10, 0), recorded=500)
    rows = frame((1, 20)).assign(extra=5)
    job = shop.store().get_historical_features(rows, [*FEATURES, "sums:total"])
    with pytest.raises(TrainingSetError, match="on-demand views .*: sums"):
        job.get_output_file_uri()

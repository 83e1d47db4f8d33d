from __future__ import annotations

import pytest

from provender.model_registry.artifact import read_artifact
from provender.model_registry.store import ModelStore
from provender.storage import storage_at
from tests.gcs import GcsServer
from tests.models.artifacts import write_artifact


@pytest.mark.gcs
def test_an_artifact_on_gcs_is_found_and_checked(gcs_server: GcsServer) -> None:
    storage = storage_at(f"gs://{gcs_server.new_bucket()}/root")
    version = write_artifact(storage)
    store = ModelStore(storage, "late")
    assert [found.artifact.version for found in store.versions()] == [version]
    artifact = read_artifact(f"{store.uri}/versions/{version}")
    artifact.verify()
    assert artifact.metrics == {"roc_auc": 0.7}

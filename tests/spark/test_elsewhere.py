"""Work that the settings give to a cluster is not done here."""

from __future__ import annotations

from pathlib import Path

import pytest

from provender.errors import SettingsError
from provender.settings import load_settings
from provender.spark.session import spark_session

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("backend", ["kubernetes", "dataproc"])
def test_a_command_on_this_machine_says_where_the_work_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    (tmp_path / "feature_store.yaml").write_text(
        f"project: p\nprovender: {{spark: {{backend: {backend}}}}}\n"
    )
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS", raising=False)
    with pytest.raises(SettingsError, match="run on the cluster, not here"):
        with spark_session(load_settings(tmp_path), "an-attempt"):
            pass

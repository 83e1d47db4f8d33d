"""Fixtures every test may ask for, and the order of test files."""

import os
from collections.abc import Iterator

import pytest

pytest_plugins = [
    "tests.servers",
    "tests.gcs",
    "tests.postgres",
    "tests.engine",
    "tests.small_disk",
    "tests.bigquery.emulator",
    "tests.bigquery.feast_on_emulator",
]


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    """Commands that run in the test's process make files private from then on; the next test is not to notice."""
    umask = os.umask(0o022)
    os.umask(umask)
    yield
    os.umask(umask)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name compressed bytes by their size: gzip writes the time into them, and every worker must name them alike."""
    if isinstance(val, bytes) and val.startswith(b"\x1f\x8b"):
        return f"gzip-{len(val)}-bytes"
    return None


LONG_FILES = (
    "airflow/test_model_loop.py",
    "airflow/test_end_to_end.py",
    "local/test_serving_backend.py",
    "storage/test_pipeline.py",
    "spark/test_killed.py",
    "training_sets/test_of_model.py",
    "correctness/test_metamorphic.py",
    "correctness/test_difference.py",
    "specs/test_sql_on_spark.py",
    "spark/test_engine.py",
    "feast/test_conformance.py",
    "feast/test_offline_store.py",
    "feast/test_apply.py",
    "staging/test_killed_stage.py",
    "point_in_time/test_engine.py",
    "demo/test_raw.py",
)
"""The files that take longest, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first, so that no worker begins one when the others are done."""
    ranks = {file: rank for rank, file in enumerate(LONG_FILES)}
    items.sort(key=lambda item: ranks.get("/".join(item.path.parts[-2:]), len(ranks)))

"""Fixtures every test may ask for."""

pytest_plugins = [
    "tests.servers",
    "tests.gcs",
    "tests.postgres",
    "tests.engine",
    "tests.small_disk",
    "tests.bigquery.emulator",
    "tests.bigquery.feast_on_emulator",
]


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name compressed bytes by their size: gzip writes the time into them, and every worker must name them alike."""
    if isinstance(val, bytes) and val.startswith(b"\x1f\x8b"):
        return f"gzip-{len(val)}-bytes"
    return None

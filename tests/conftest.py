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

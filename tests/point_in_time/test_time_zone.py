"""A time that names no zone is UTC, on a machine in any zone."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.engine import CHECKOUT

ASK = """
from provender.point_in_time.duckdb_join import connection

NOON = "epoch_us(TIMESTAMPTZ '2026-11-20 12:00:00')"
with connection() as duck:
    for session in (duck, duck.cursor()):
        sql = f"SELECT current_setting('TimeZone') AS zone, {NOON} AS noon, hour(to_timestamp(0)) AS hour"
        print(*session.sql(sql).to_arrow_table().to_pylist()[0].values())
"""


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_a_duckdb_of_ours_is_in_utc_wherever_it_runs(zone: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "TZ": zone},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.splitlines() == ["UTC 1795176000000000 0"] * 2


def test_no_other_place_opens_a_duckdb() -> None:
    """One opened elsewhere would be in the machine's zone."""
    opened = re.compile(r"duckdb\.(connect|sql|query|execute|default_connection)\(")
    found = [
        str(path.relative_to(CHECKOUT))
        for path in sorted((CHECKOUT / "provender").rglob("*.py"))
        if opened.search(path.read_text())
    ]
    assert found == ["provender/point_in_time/duckdb_join.py"]

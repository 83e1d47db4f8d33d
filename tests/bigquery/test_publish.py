"""Published tables on the emulator, every body checked against Google's discovery document on its way."""

from __future__ import annotations

import pytest

from provender.ledger import Kind
from tests.bigquery.conftest import Warehouse
from tests.feast.conftest import version
from tests.point_in_time.logs import at

pytestmark = [pytest.mark.slow, pytest.mark.bigquery, pytest.mark.gcs]
DAY = 24 * 60.0


def test_what_was_ingested_is_published_and_a_second_run_finds_nothing_to_do(warehouse: Warehouse) -> None:
    warehouse.ingest(version(7, 12, 60, 120), version(8, 3, DAY + 60, DAY + 120), recorded=2 * DAY)
    manifest = warehouse.publish("one")
    assert manifest.kind is Kind.MANIFEST and manifest.counts["days"] == 2
    assert warehouse.rows() == [
        (7, 12, at(60), at(120)),
        (8, 3, at(DAY + 60), at(DAY + 120)),
    ]
    assert warehouse.tables() == ["trips"]
    again = warehouse.publish("two")
    assert again.kind is Kind.RECEIPT and again.recorded_up_to == at(2 * DAY)

from __future__ import annotations

import shutil

import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from provender.storage import local_path
from provender.training_sets.verify import verify
from tests.feast.conftest import version
from tests.training_sets.conftest import Builder

ROWS = ((1, 20, 0), (1, 90, 1), (2, 20, 0))


def test_late_data_and_corrections_for_the_same_days_change_nothing(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build(*ROWS)
    late = [version(2, 20, 0, 1), version(1, 12, 0, 1), version(1, None, 0, 2, deleted=True)]
    builder.shop.ingest(*late, recorded=600)
    again = builder.build(*ROWS)
    assert again.lockfile.result.checksum != built.lockfile.result.checksum
    for each in (built, again):
        checked = verify(builder.settings, each)
        assert checked.agrees, str(checked)


def test_a_log_that_was_empty_is_still_empty_then(builder: Builder) -> None:
    builder.shop.ingest(recorded=500)
    built = builder.build(*ROWS)
    assert built.data().column("driver_trips__trips").null_count == 3
    builder.shop.ingest(version(1, 10, 0), recorded=600)
    assert verify(builder.settings, built).agrees


def test_a_changed_definition_changes_nothing(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build((1, 20, 0), (1, 110, 1))
    views = builder.shop.repo / "views" / "trips_views.py"
    views.write_text("raise RuntimeError('Feast is not needed')")
    (builder.shop.repo / "sources" / "trips.yaml").unlink()
    assert verify(builder.settings, built).agrees


def test_a_changed_file_is_found(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build(*ROWS)
    path = local_path(built.data_uri)
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 2), path)
    checked = verify(builder.settings, built)
    assert not checked.agrees and "2 rows, the lockfile says 3" in str(checked)


def test_a_table_created_anew_is_the_reason_given(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build(*ROWS)
    folder = builder.shop.root / "state/storage/tables/trips/trips"
    shutil.rmtree(folder)
    assert "table trips.trips is gone" in str(verify(builder.settings, built))
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    checked = verify(builder.settings, built)
    assert not checked.agrees and "recreated" in str(checked)


def test_a_column_that_is_gone_is_the_reason_given(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build(*ROWS)
    folder = str(builder.shop.root / "state/storage/tables/trips/trips")
    rest = DeltaTable(folder).to_pyarrow_table().drop_columns(["rate"])
    write_deltalake(folder, rest, mode="overwrite", schema_mode="overwrite")
    checked = verify(builder.settings, built)
    assert not checked.agrees and "no column rate any more" in str(checked)


def test_a_log_that_was_rewritten_is_found_with_the_columns_that_differ(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build(*ROWS)
    folder = str(builder.shop.root / "state/storage/tables/trips/trips")
    table = DeltaTable(folder)
    table.update(updates={"trips": "99"})
    checked = verify(builder.settings, built)
    assert not checked.agrees and "columns that differ: driver_trips__trips" in str(checked)

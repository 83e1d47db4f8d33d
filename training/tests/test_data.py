"""Reading, checking and splitting a training set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import planted
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from provender_training.data import Rows, labelled, read_training_set, split

from provender.errors import TrainingSetError
from provender.storage import local_path

START = datetime(2026, 1, 1, tzinfo=UTC)


def rows_at(*minutes: int) -> Rows:
    times = [START + timedelta(minutes=minute) for minute in minutes]
    table = pa.table(
        {"at": pa.array(times, pa.timestamp("us", tz="UTC")), "label": pa.array([1] * len(times))}
    )
    return Rows(table, "at", "label")


def test_the_latest_rows_are_held_out() -> None:
    train, test = split(rows_at(*range(10)), 0.2)
    assert (len(train), len(test)) == (8, 2)
    assert max(train.times) < min(test.times)


@pytest.mark.parametrize(
    ("minutes", "trained_on"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7, 7, 9), 7),  # the nearer side of the tie
        ((0, 1, 2, 3, 7, 7, 7, 7, 7, 9), 9),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 9), 9),
        ((0, 9, 9, 9, 9, 9, 9, 9, 9, 9), 1),
    ],
)
def test_rows_of_one_time_stay_together(minutes: tuple[int, ...], trained_on: int) -> None:
    train, test = split(rows_at(*minutes), 0.2)
    assert len(train) == trained_on
    assert max(train.times) < min(test.times)


@pytest.mark.parametrize("minutes", [(), (3,), (3, 3, 3)])
def test_rows_that_cannot_be_split_by_time_are_refused(minutes: tuple[int, ...]) -> None:
    with pytest.raises(TrainingSetError, match="cannot be split by time"):
        split(rows_at(*minutes), 0.2)


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    table = planted.planted(100)
    place = table.schema.get_field_index("is_late")
    labels = pa.array([None if n % 4 == 0 else 1 for n in range(100)], pa.int32())
    found, lockfile, _ = read_training_set(
        planted.write(tmp_path.as_uri(), table.set_column(place, "is_late", labels))
    )
    assert len(labelled(found, lockfile)) == 75


def test_the_order_in_the_file_does_not_matter(tmp_path: Path) -> None:
    table = planted.planted(100)
    folder = planted.write(tmp_path.as_uri(), table)
    path = local_path(folder) / "data.parquet"
    before = labelled(*read_training_set(folder)[:2]).table
    pq.write_table(table.take(list(reversed(range(100)))), path)
    assert labelled(*read_training_set(folder)[:2]).table == before


def test_data_that_is_not_what_the_lockfile_says_is_refused(tmp_path: Path) -> None:
    table = planted.planted(100)
    folder = planted.write(tmp_path.as_uri(), table)
    pq.write_table(table.slice(1), local_path(folder) / "data.parquet")
    with pytest.raises(TrainingSetError, match=r"99 rows with sha256:\w+, locked are 100") as error:
        read_training_set(folder)
    assert "provender training-set" in error.value.remedy


@pytest.mark.parametrize("gone", ["lockfile.json", "data.parquet"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, gone: str) -> None:
    folder = planted.write(tmp_path.as_uri(), planted.planted(20))
    (local_path(folder) / gone).unlink()
    with pytest.raises(TrainingSetError) as error:
        read_training_set(folder)
    assert error.value.where.endswith(gone)


def test_a_training_set_without_a_label_is_refused(tmp_path: Path) -> None:
    folder = planted.write(tmp_path.as_uri(), planted.planted(20), label=None)
    with pytest.raises(TrainingSetError, match="no label"):
        labelled(*read_training_set(folder)[:2])

"""Which partition a DataFrame's rows go to, and what is said of frames that cannot be taken."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from provender.errors import ContractError, PartitionError
from provender.ingestion.dataframe import _split
from provender.ingestion.frame_table import table_of
from provender.intervals import Cadence, Partition, parse_range
from provender.specs.source import Source
from tests.contract.specs import source_of

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def keys(frame: Any, partition: str | None = None, **event: str) -> dict[str, int]:
    spec = source_of(event_timestamp={"column": "at", **event})
    table = table_of(spec, frame)
    return {part.key: rows.num_rows for part, rows in _split(spec, table, partition, NOW).items()}


@pytest.mark.parametrize(
    ("times", "event", "expected"),
    [
        (["05/06/2026 10:00"], {"format": "dd/MM/yyyy HH:mm"}, "2026-06-05"),
        (["06-05-2026"], {"format": "MM-dd-yyyy"}, "2026-06-05"),
        ([20260605], {"format": "yyyyMMdd"}, "2026-06-05"),
        (["2026-06-05 01:00"], {"zone": "Europe/Oslo"}, "2026-06-04"),
        (["2026-06-05 01:00:00 UTC"], {"zone": "Europe/Oslo"}, "2026-06-05"),
        ([pd.Timestamp("2026-06-05 01:00")], {"zone": "Europe/Oslo"}, "2026-06-04"),
        ([pd.Timestamp("2026-06-05 01:00", tz="Europe/Oslo")], {}, "2026-06-04"),
        (pd.array(["2026-06-05"], dtype="datetime64[s]"), {}, "2026-06-05"),
        ([datetime(2026, 6, 5, tzinfo=UTC)], {}, "2026-06-05"),
        ([date(2026, 6, 5)], {}, "2026-06-05"),
        ([np.datetime64("2026-06-05T10:00")], {}, "2026-06-05"),
        ([Decimal("1780617600.5")], {"format": "epoch_s"}, "2026-06-05"),
        (pd.array([1780617600, None], dtype="Int64"), {"format": "epoch_s"}, "2026-06-05"),
        (pd.Categorical(["2026-06-05"]), {}, "2026-06-05"),
        (pd.array(["2026-06-05"], dtype="string"), {}, "2026-06-05"),
        (pd.array(["2026-06-05", pd.NA], dtype=pd.ArrowDtype(pa.large_string())), {}, "2026-06-05"),
    ],
)
def test_times_of_every_type_are_read_as_the_spec_says(
    times: Any, event: dict[str, str], expected: str
) -> None:
    frame = pd.DataFrame({"key": ["a"] * len(times), "at": times})
    assert keys(frame, **event) == {expected: len(times)}


def test_rows_that_have_no_partition_go_where_they_are_quarantined() -> None:
    times = ["2026-06-04", "2026-06-05", "soon", None, "2062-01-01", "9999-12-31", "2026-07-01", "1970-01-01"]
    frame = pd.DataFrame({"key": ["a"] * len(times), "at": times})
    assert keys(frame) == {"2026-06-04": 2, "2026-06-05": 6}
    far = np.array(["2026-06-05", "20000-01-01", "-20000-01-01"], dtype="datetime64[s]")
    assert keys(pd.DataFrame({"key": ["a"] * 3, "at": far})) == {"2026-06-05": 3}


def test_a_frame_of_the_future_or_of_another_age_is_refused() -> None:
    for time in ("2062-01-01", "2026-07-01", "9999-12-31T23:59:59"):
        with pytest.raises(PartitionError, match="no such partition can be delivered"):
            keys(pd.DataFrame({"key": ["a"], "at": [time]}))
    with pytest.raises(PartitionError, match="2025-12-31"):
        keys(pd.DataFrame({"key": ["a"], "at": ["2025-12-31"]}))


def test_a_frame_without_rows_needs_the_partitions_name() -> None:
    empty = pd.DataFrame({"key": [], "at": []})
    with pytest.raises(ContractError, match="has no rows"):
        keys(empty)
    assert keys(empty, "2026-06-05") == {"2026-06-05": 0}


def mixed(values: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"key": pd.Series(values, dtype=object), "at": ["2026-06-05"] * len(values)})


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        ([1, 2], "a list is no DataFrame"),
        (
            pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
            "several levels",
        ),
        (pd.DataFrame([[1, 2]], columns=["at", "at"]), "the column at twice"),
        (pd.DataFrame([[1, 2]], columns=["at", "At"]), "the column At, at twice"),
        (pa.table([pa.array([1]), pa.array([2])], ["at", "at"]), "the column at twice"),
        (pd.DataFrame({"key": ["a"]}), "no column 'at'; it has key"),
        (pd.DataFrame({"key": ["a"]}, index=pd.Index(["2026"], name="at")), "reset_index"),
        (pd.DataFrame({"at": pd.period_range("2026-06", periods=2, freq="M")}), "holds periods"),
        (pd.DataFrame({"key": [1 + 2j], "at": ["2026-06-05"]}), "mixes types in a column, 'key'"),
        (mixed(["a", 1]), "mixes types in a column, 'key'"),
        (mixed([2**70]), "mixes types in a column, 'key'"),
        (mixed(["\ud800"]), "mixes types in a column, 'key'"),
        (
            mixed([datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)]),
            "with a zone and times without one",
        ),
        (mixed([datetime(2026, 1, 1), date(2026, 1, 1)]), "date and datetime values"),
    ],
)
def test_frames_that_cannot_be_taken_are_refused_in_our_words(frame: Any, sentence: str) -> None:
    with pytest.raises(ContractError) as caught:
        keys(frame)
    assert sentence in str(caught.value)


def test_columns_of_odd_types_are_kept_for_the_contract() -> None:
    frame = pd.DataFrame(
        {
            "AT": ["2026-06-05"] * 2,
            "gone": [timedelta(days=1), None],
            "sparse": pd.arrays.SparseArray([1.0, 0.0]),
            "half": np.array([0.5, 1.5], dtype="float16"),
            "nothing": [None, None],
            "nested": [[1], [2, 3]],
            3: [1, 2],
        }
    )
    table = table_of(source_of(), frame)
    assert table.column_names == ["AT", "gone", "sparse", "half", "nothing", "nested", "3"]


@pytest.mark.parametrize(
    "key", [20260605, date(2026, 6, 5), None, b"2026-06-05", "0000-01-01", "9999-12-31", ""]
)
def test_keys_of_odd_types_and_far_dates_are_no_keys(key: Any) -> None:
    with pytest.raises(PartitionError):
        Partition.parse(Cadence.DAILY, key)
    with pytest.raises(PartitionError):
        parse_range(Cadence.DAILY, key)


def test_a_moment_at_the_end_of_all_years_has_no_partition() -> None:
    with pytest.raises(PartitionError, match="past the year 9999"):
        Partition.holding(Cadence.MONTHLY, datetime(9999, 12, 31, tzinfo=UTC))


def test_a_key_of_an_early_year_is_read_back_as_it_is_written() -> None:
    for text in ("0001-01-01", "0999-12-31"):
        assert Partition.parse(Cadence.DAILY, text).key == text


def test_times_are_written_with_the_file(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    times = np.array(["2026-06-05", "300000-01-01"], dtype="datetime64[s]")
    spec: Source = source_of()
    pq.write_table(table_of(spec, pd.DataFrame({"at": times})), tmp_path / "frame.parquet")
    read = pq.read_table(tmp_path / "frame.parquet").column("at")
    assert read.type == pa.timestamp("us")
    assert read.cast(pa.int64()).to_pylist() == [1780617600000000, 2**63 - 1]

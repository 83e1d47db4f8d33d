"""Every write is looked for in its table's log: Delta passes over an older transaction and says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from provender.errors import StorageError
from provender.tables.tables import DeltaTable, Transaction
from tests.engine import Project

pytestmark = pytest.mark.spark


def test_a_write_that_delta_passed_over_or_that_has_other_rows_is_an_error(
    project: Project, spark: Any
) -> None:
    table = DeltaTable(project.storage, "tables/t", {"x": "bigint"})
    half = project.folder / "storage" / "tables" / "t" / "_delta_log" / "_staged_commits"
    half.mkdir(parents=True)
    with pytest.raises(StorageError, match="the table was not made"):
        table.ensure(spark)
    project.storage.delete_tree("tables/t")
    table.ensure(spark)

    def write(version: int, expected: int) -> Any:
        rows = spark.range(3).withColumnRenamed("id", "x").coalesce(1)
        return table.replace(rows, "x >= 0", Transaction("a", version), expected)

    assert write(5, 3).rows == 3
    with pytest.raises(StorageError, match="not in the table's log"):
        write(4, 3)
    with pytest.raises(StorageError, match="holds 3 rows and not 4"):
        write(6, 4)
    assert table.last_transaction("a") == 6
    rows = spark.createDataFrame([(1,)], "x bigint")
    assert table.replace(rows, "x = 1", Transaction("a", 7), 1).rows == 1, "two rows were only copied"
    assert table.replace(rows.where("false"), "x = 1", Transaction("a", 8), 0).rows == 0
    assert table.append(rows, "x = 1", Transaction("a", 9), 1).summary["version"] == table.log.newest()

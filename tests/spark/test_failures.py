"""What Spark raises, as errors whose remedy is about the cause. No Spark is started."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException

from provender.errors import SqlError, StorageError
from provender.spark.failures import spark_failures


def raised(message: str, where: str) -> SqlError | StorageError:
    with pytest.raises((SqlError, StorageError)) as caught, spark_failures("computing x", where):
        raise AnalysisException(message)
    return caught.value


def test_a_file_that_is_gone_is_not_blamed_on_the_sql() -> None:
    for message in ("[PATH_NOT_FOUND] Path does not exist: file:/x", "[FAILED_READ_FILE.NO_HINT] x"):
        error = raised(message, "sources/x.sql")
        assert isinstance(error, StorageError)
        assert "SQL" not in error.remedy


def test_only_the_authors_own_sql_is_to_be_corrected() -> None:
    assert "correct the SQL" in raised("[UNRESOLVED_COLUMN] x", "sources/x.sql").remedy
    assert "SQL" not in raised("[UNRESOLVED_COLUMN] x", "file:///raw/x").remedy

"""Where Spark's exceptions become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import AnalysisException, ParseException, PySparkException

from provender.errors import ProvenderError, SparkUnavailableError, SqlError, StorageError, TransientError

_USER_RAISED = "USER_RAISED_EXCEPTION"
_LOST_FILE = "FAILED_READ_FILE"


class SparkJobError(TransientError):
    """Spark gave up on a job for a reason of its own."""


@contextmanager
def spark_failures(step: str, where: str) -> Iterator[None]:
    """Raises ours for Spark's: ``step`` says what was being done, ``where`` on which file or table."""
    try:
        yield
    except (AnalysisException, ParseException) as error:
        raise SqlError(
            f"{step}: {_first_lines(error)}",
            where=where,
            unharmed="everything committed before; nothing of this attempt is visible",
            remedy="correct the SQL or the spec, then run the same command again",
        ) from error
    except PySparkException as error:
        raise _translated(step, where, error) from error


def _translated(step: str, where: str, error: PySparkException) -> ProvenderError:
    text = _first_lines(error)
    unharmed = "everything committed before; nothing of this attempt is visible"
    if _USER_RAISED in str(error):
        return SqlError(f"{step}: {text}", where=where, unharmed=unharmed, remedy="correct the SQL, then run again")
    if _LOST_FILE in str(error):
        return StorageError(f"{step}: {text}", where=where, unharmed=unharmed, remedy="check the storage root")
    if "UNAVAILABLE" in str(error) or "Connection refused" in str(error):
        return SparkUnavailableError(f"{step}: the engine went away", where=where, unharmed=unharmed, remedy="run again")
    return SparkJobError(f"{step}: {text}", where=where, unharmed=unharmed, remedy="run the same command again")


def _first_lines(error: BaseException) -> str:
    """Spark's sentence, without the query plan and the Java stack behind it."""
    text = str(error).split("\nJVM stacktrace")[0]
    return text.split("SQLSTATE")[0].strip().removesuffix(".") + "." if text.strip() else type(error).__name__

"""Where Spark's exceptions become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.errors import AnalysisException, PySparkException

from provender.errors import (
    ProvenderError,
    SparkJobError,
    SparkUnavailableError,
    SqlError,
    StorageError,
)

_LOST_FILES = (
    "FAILED_READ_FILE",
    "PATH_NOT_FOUND",
    "DELTA_FILE_NOT_FOUND",
    "DELTA_TRUNCATED",
    "FileNotFoundException",
)
"""What Spark and Delta say where a file is gone or cannot be read: no SQL and no spec is to blame."""
_DATA_STATES = ("21", "22", "42", "P0")
"""Classes of SQLSTATE that the SQL and its data are to blame for: cardinality, data exceptions (division by zero, a
cast), names and syntax, errors raised on purpose. Trying again fixes none of them."""
_DISK = {
    "No space left on device": "free space there, or in the engine's folder of temporary files (SPARK_LOCAL_DIRS)",
    "Disk quota exceeded": "free space there, or in the engine's folder of temporary files (SPARK_LOCAL_DIRS)",
    "Input/output error": "check the disk or its connection",
    "Read-only file system": "mount it for writing",
    "Permission denied": "correct the permissions",
    "Mkdirs failed": "correct the permissions, or free space",
    "File too large": "raise the limit on the size of files (ulimit -f)",
    "Stale file handle": "check the disk or its connection",
}
"""What the operating system says in Java's exceptions, whatever Spark and Delta wrap them in."""
_NOT_AFFECTED = "everything committed before; nothing of this attempt is visible"


@contextmanager
def spark_failures(step: str, where: str) -> Iterator[None]:
    """Raises ours for Spark's: ``step`` says what was being done, ``where`` on which file or table."""
    try:
        yield
    except PySparkException as error:
        raise _translated(step, where, error) from error


def _translated(step: str, where: str, error: PySparkException) -> ProvenderError:
    text = f"{step}: {_first_lines(error)}"
    for said, remedy in _DISK.items():
        if said in str(error):
            what = f"{step}: {said}"
            remedy = f"{remedy}, then run the same command again"
            return StorageError(what, where=where, not_affected=_NOT_AFFECTED, remedy=remedy)
    if any(word in str(error) for word in _LOST_FILES):
        remedy = "check that the files named above are there and can be read, then run the same command again"
        return StorageError(text, where=where, not_affected=_NOT_AFFECTED, remedy=remedy)
    if "UNAVAILABLE" in str(error) or "Connection refused" in str(error):
        what = f"{step}: the engine went away"
        return SparkUnavailableError(what, where=where, not_affected=_NOT_AFFECTED, remedy="run again")
    if isinstance(error, AnalysisException) or (error.getSqlState() or "").startswith(_DATA_STATES):
        return SqlError(
            text, where=where, not_affected=_NOT_AFFECTED, remedy=_remedy(where, error.getCondition() or "")
        )
    return SparkJobError(text, where=where, not_affected=_NOT_AFFECTED, remedy="run the same command again")


def _remedy(where: str, condition: str) -> str:
    """What corrects a query that Spark refuses: the author's SQL, if that is what ran; else the spec or a table."""
    if condition.startswith("DELTA"):
        return "look at the table in the storage root: it is not as this program left it"
    if where.endswith(".sql"):
        return f"correct the SQL, or what {Path(where).stem} is declared to give, then run the same command again"
    return "if a column or a type is named above, correct it in the spec, then run the same command again"


def _first_lines(error: BaseException) -> str:
    """Spark's sentence, without the query plan and the Java stack behind it."""
    text = str(error).split("\nJVM stacktrace")[0]
    return text.split("SQLSTATE")[0].strip().removesuffix(".") + "." if text.strip() else type(error).__name__

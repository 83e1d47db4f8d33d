"""The lists and rules of the SQL checks, against Spark itself: they fail when Spark grows or says otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import sqlglot
from pyspark.errors import PySparkException

from provender.specs.sql import SparkAsWritten, as_checked, problems
from provender.specs.sql_functions import ALLOWED, OPERATORS, REFUSED
from provender.specs.sql_grammar import IN_QUERIES, OF_OTHER_STATEMENTS, REFUSED_KEYWORDS
from provender.specs.sql_types import SqlType, type_of
from tests.specs import test_sql
from tests.specs.sql_corpus import FITTING, REPEATABLE, TYPES, WRONG

pytestmark = pytest.mark.spark

COLUMNS = {"driver": "INT64", "city": "STRING", "fare": "DOUBLE", "at": "TIMESTAMP", "made": "TIMESTAMP"}
DDL = "driver bigint, city string, fare double, at timestamp, made timestamp"
_SPARKS = {"bigint": "INT64", "int": "INT32", "string": "STRING", "boolean": "BOOL", "binary": "BYTES"}
_SPECIAL = {"try_cast", "timestampadd", "timestampdiff", "timediff"}
"""Functions of the grammar, which Spark does not list."""


def test_the_checks_know_all_of_spark_and_agree_with_it(spark: Any) -> None:
    _every_function_and_keyword_is_allowed_or_refused(spark)
    spark.createDataFrame([], DDL).createOrReplaceTempView("trips")
    _types_are_sparks(spark)
    _spark_takes_what_is_legal_and_refuses_what_cannot_be(spark)


def _every_function_and_keyword_is_allowed_or_refused(spark: Any) -> None:
    functions = {row[0] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()}
    known = set(ALLOWED) | set(REFUSED) | OPERATORS
    assert functions - known == set(), "allow them in sql_functions.py, or refuse them with the reason"
    assert set(ALLOWED) - functions == _SPECIAL & set(ALLOWED), "these are not Spark's any more"
    assert not set(ALLOWED) & set(REFUSED)
    keywords = {row[0] for row in spark.sql("SELECT keyword FROM sql_keywords()").collect()}
    listed = [*IN_QUERIES, *REFUSED_KEYWORDS, *OF_OTHER_STATEMENTS]
    assert keywords == set(listed) and len(listed) == len(keywords), "look at what is new in sql_grammar.py"
    for name in sorted(REFUSED):
        assert problems(f"SELECT {name}(city) AS a FROM trips", "trips", FILE) != [], name


def _types_are_sparks(spark: Any) -> None:
    expressions = [each.strip() for each in TYPES.split(";") if each.strip()]
    unknown = []
    for text in expressions:
        [field] = spark.sql(f"SELECT {text} AS a FROM trips").schema.fields
        query = sqlglot.parse_one(f"SELECT {text} AS a FROM trips", dialect=SparkAsWritten)
        found = type_of(query.selects[0], lambda column: SqlType(COLUMNS[column.name]))
        if found.name == "?":
            unknown.append(text)
        else:
            assert str(found) == _spec_type(field.dataType.simpleString()), text
    assert len(unknown) < 8, unknown


def _spec_type(text: str) -> str:
    kind = text.partition("<")[0]
    return "INTERVAL" if kind.startswith("interval") else _SPARKS.get(kind, kind.upper())


def _spark_takes_what_is_legal_and_refuses_what_cannot_be(spark: Any) -> None:
    legal = [sql for sql in test_sql.SLICE_BY_SLICE if "1 AS one FROM trips HAVING" not in sql]
    for sql in (*REPEATABLE, *FITTING, *legal):
        assert spark.sql(as_checked(sql)).columns, sql
    for sql, _, _ in WRONG:
        with pytest.raises(PySparkException):
            _ = spark.sql(as_checked(sql)).columns


FILE = test_sql.Path("x.sql")

"""The SQL of a derived feature table: what it may say, and how it runs on many periods at once.

A query is one Spark SQL ``SELECT`` over the table called like its source, written as if that table held the
rows of **one period** (a day of a daily source) and nothing else. Windows, ``lag``, joins of the table with
itself: all see that period's rows only. What plainly asks for more, or gives another answer when it is run
again, is refused by name (:mod:`provender.specs.sql_checks`).

:func:`per_slice` rewrites a query so that one run gives the answers of many periods
(:mod:`provender.specs.sql_slices`). Parsing is sqlglot's, with all functions left as they are written: its
translation of some (``percentile_cont``, say) is not exact.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.parsers.spark import SparkParser

from provender.errors import SqlError
from provender.intervals import Cadence
from provender.specs.problems import Problem
from provender.specs.sql_checks import Complaint, complaints, row_complaints
from provender.specs.sql_slices import UnsupportedError, slice_query

_SPECIAL_FORMS = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "OVERLAY", "POSITION", "CEIL", "FLOOR")
_WORDS = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER}


class SparkAsWritten(Spark):
    """Spark SQL whose function calls keep their names and arguments."""

    class Parser(SparkParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: SparkParser.FUNCTION_PARSERS[name] for name in _SPECIAL_FORMS
        }


def problems(sql: str, source_name: str, path: Path, cadence: Cadence | None = None) -> list[Problem]:
    """Why ``sql`` cannot be the query of a derived table of ``source_name``; empty if it can."""
    query, found = _parse(sql)
    if query is not None:
        found = complaints(query, source_name, cadence)
    return _at_lines(found, sql, path)


def entity_problems(sql: str, source_name: str, path: Path) -> list[Problem]:
    """Why ``sql`` cannot be the query of a model's entity rows over ``source_name``; empty if it can."""
    query, found = _parse(sql)
    if query is not None:
        found = row_complaints(query, source_name)
    return _at_lines(found, sql, path)


def _at_lines(found: list[Complaint], sql: str, path: Path) -> list[Problem]:
    return [
        Problem(path, complaint.line or _line_of(sql, complaint.name), complaint.what, complaint.remedy)
        for complaint in found
    ]


def per_slice(
    sql: str, source_name: str, *, path: Path | None = None, cadence: Cadence | None = None
) -> str | None:
    """``sql`` rewritten to run on many slices at once, or None if it can only run slice by slice.

    The rewritten query reads a view called ``source_name`` with two more columns, and gives them too:
    ``_slice`` (string, not null: whose rows are seen together) and ``_created`` (timestamp: of a plain row
    its own, of a group or window the newest in it, of joined rows the newest of both). Otherwise its rows are
    those of ``sql`` run on each slice alone. Raises :class:`SqlError`, a line for each reason it is refused.
    """
    refused = problems(sql, source_name, path or Path(f"{source_name}.sql"), cadence)
    if refused:
        raise SqlError(
            "\n".join(map(str, refused)), remedy="see docs/sources.md for what the SQL of a table may say"
        )
    query, _ = _parse(sql)
    assert query is not None  # it has no problems
    if not _is_kept_whole(sql, query):
        return None
    try:
        return slice_query(query).sql(dialect=SparkAsWritten, normalize_functions=False, comments=False)
    except UnsupportedError:
        return None


def _parse(sql: str) -> tuple[exp.Query | None, list[Complaint]]:
    try:
        statements = [each for each in sqlglot.parse(sql, dialect=SparkAsWritten) if each is not None]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        what = f"not SQL: {first.get('description') or error}"
        return None, [Complaint(what, "mend the syntax", line=first.get("line"))]
    except SqlglotError as error:
        return None, [Complaint(f"not SQL: {error}", "mend the syntax", line=1)]
    if len(statements) != 1:
        return None, [Complaint(f"{len(statements)} statements", "write exactly one SELECT", line=1)]
    if not isinstance(statements[0], exp.Query) or isinstance(statements[0], exp.Table):
        kind = type(statements[0]).__name__.upper()
        return None, [Complaint(f"{kind} is not a SELECT", "write exactly one SELECT", line=1)]
    return statements[0], []


def _is_kept_whole(sql: str, query: exp.Query) -> bool:
    """Whether every name, text and number of ``sql`` is still there when the parsed query is written out."""
    return not _words(sql) - _words(
        query.sql(dialect=SparkAsWritten, normalize_functions=False, comments=False)
    )


def _words(sql: str) -> Counter[str]:
    return Counter(
        t.text.lower() for t in sqlglot.tokenize(sql, dialect=SparkAsWritten) if t.token_type in _WORDS
    )


def _line_of(sql: str, name: str) -> int:
    for token in sqlglot.tokenize(sql, dialect=SparkAsWritten):
        if token.text.lower() == name.lower():
            return int(token.line)
    return 1

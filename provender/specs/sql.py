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

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
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

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # what it warns of is reported here
_LONGEST, _MOST_WORDS = 200_000, 20_000
_WRITTEN_OTHERWISE = {"position"}  # position(a IN b) is locate(a, b)
_TOO_DEEP = Complaint("nested too deeply", "split it with WITH, or into several tables", line=1)
_TEXTS = {TokenType.STRING, TokenType.RAW_STRING, TokenType.NATIONAL_STRING}
_SPECIAL_FORMS = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "OVERLAY", "POSITION", "CEIL", "FLOOR")
_WORDS = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER}


class SparkAsWritten(Spark):
    """Spark SQL whose function calls keep their names and arguments."""

    class Parser(SparkParser):
        ARRAY_CONSTRUCTORS: ClassVar[dict[str, Any]] = {}  # array(1, 2)[0] is an element, not an array
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: SparkParser.FUNCTION_PARSERS[name] for name in _SPECIAL_FORMS
        }


def problems(sql: str, source_name: str, path: Path, cadence: Cadence | None = None) -> list[Problem]:
    """Why ``sql`` cannot be the query of a derived table of ``source_name``; empty if it can."""
    return _at_lines(_refused(sql, lambda query: complaints(query, source_name, cadence)), sql, path)


def entity_problems(sql: str, source_name: str, path: Path) -> list[Problem]:
    """Why ``sql`` cannot be the query of a model's entity rows over ``source_name``; empty if it can."""
    return _at_lines(_refused(sql, lambda query: row_complaints(query, source_name)), sql, path)


def parsed(sql: str) -> exp.Query | None:
    """The query in ``sql``; None where it is none."""
    return _parse(sql)[0]


def as_checked(sql: str) -> str:
    """``sql`` written out from what was checked, without comments: what Spark is given to run.

    So that a text which Spark would read otherwise than the check did is run as it was checked.
    Raises :class:`SqlError` for a text that is no query, or not understood in full.
    """
    query, found = _parse(sql)
    if query is not None:
        found = _lost(sql, query)
    if query is None or found:
        raise SqlError("; ".join(each.what for each in found), remedy=found[0].remedy)
    return query.sql(dialect=SparkAsWritten, normalize_functions=False, comments=False)


def is_one_query(sql: str) -> bool:
    """Whether ``sql``, in the SQL of any database, stays one query where it is put into parentheses.

    What this parser does not understand is the database's to judge: only parentheses are counted then.
    """
    try:
        tokens = sqlglot.tokenize(sql)
        depth = 0
        for token in tokens[:-1] if tokens and tokens[-1].token_type is TokenType.SEMICOLON else tokens:
            depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
            if depth < 0 or token.token_type is TokenType.SEMICOLON:
                return False
        query = sqlglot.parse_one(sql)
    except (SqlglotError, RecursionError):
        return True
    return query.find(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Drop, exp.Create, exp.Into) is None


def _refused(sql: str, check: Callable[[exp.Query], list[Complaint]]) -> list[Complaint]:
    query, found = _parse(sql)
    if query is None:
        return found
    try:
        return check(query) or _lost(sql, query)
    except RecursionError:
        return [_TOO_DEEP]


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
    try:
        return slice_query(query).sql(dialect=SparkAsWritten, normalize_functions=False, comments=False)
    except (UnsupportedError, RecursionError):
        return None


def _parse(sql: str) -> tuple[exp.Query | None, list[Complaint]]:
    found = _size_complaints(sql)
    if found:
        return None, found
    try:
        statements = [each for each in sqlglot.parse(sql, dialect=SparkAsWritten) if each is not None]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        what = f"not SQL: {first.get('description') or error}"
        return None, [Complaint(what, "correct the syntax", line=first.get("line"))]
    except RecursionError:
        return None, [_TOO_DEEP]
    except Exception as error:  # noqa: BLE001 (odd text finds faults of the parser's own)
        reason = (
            error if isinstance(error, SqlglotError) else f"the parser fails on it ({type(error).__name__})"
        )
        return None, [Complaint(f"not SQL: {reason}", "correct the syntax", line=1)]
    if len(statements) != 1:
        return None, [Complaint(f"{len(statements)} statements", "write exactly one SELECT", line=1)]
    if not isinstance(statements[0], exp.Query) or isinstance(statements[0], exp.Table):
        kind = type(statements[0]).__name__.upper()
        return None, [Complaint(f"{kind} is not a SELECT", "write exactly one SELECT", line=1)]
    found = list(_word_complaints(sql))
    return (None, found) if found else (statements[0], [])


def _size_complaints(sql: str) -> list[Complaint]:
    if len(sql) > _LONGEST:
        what = f"longer than {_LONGEST:,} characters"
        return [Complaint(what, "split it into several tables", line=1)]
    if "${" in sql:
        what = "${…} would be filled in from the engine's settings and environment"
        return [Complaint(what, "write the value itself", line=sql[: sql.index("${")].count("\n") + 1)]
    return []


def _word_complaints(sql: str) -> Iterator[Complaint]:
    """What has to be seen in the words themselves, because Spark takes it otherwise than the parser does."""
    tokens = sqlglot.tokenize(sql, dialect=SparkAsWritten)
    if len(tokens) > _MOST_WORDS:
        yield Complaint(f"more than {_MOST_WORDS:,} words", "split it into several tables", line=1)
    for before, token in pairwise(tokens):
        word = before.text.upper() if before.token_type is not TokenType.IDENTIFIER else ""
        if word == "USING" and token.token_type in _TEXTS:
            what = f"USING '{token.text[:40]}' runs a program"
            yield Complaint(what, "compute it with SQL functions", line=before.line)
        elif word == "TABLE" and token.token_type in (TokenType.VAR, TokenType.IDENTIFIER):
            yield Complaint(f"TABLE {token.text} reads a table", "write SELECT … FROM", line=before.line)


def _lost(sql: str, query: exp.Query) -> list[Complaint]:
    """Names, texts and numbers of ``sql`` that are not there any more when the parsed query is written out."""
    written = query.sql(dialect=SparkAsWritten, normalize_functions=False, comments=False)
    return [
        Complaint(f"{word[:40]!r} is not understood where it stands", "write it in another way", word)
        for word in _words(sql) - _words(written)
        if word not in _WRITTEN_OTHERWISE and f"0.{word}" not in written
    ]


def _words(sql: str) -> Counter[str]:
    tokens = sqlglot.tokenize(sql, dialect=SparkAsWritten)
    return Counter(word for t in tokens if t.token_type in _WORDS for word in t.text.lower().split())


def _line_of(sql: str, name: str) -> int:
    for token in sqlglot.tokenize(sql, dialect=SparkAsWritten):
        if token.text.lower() == name.lower():
            return int(token.line)
    return 1

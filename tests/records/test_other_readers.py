"""The reader of CSV beside Python's csv, pandas and DuckDB: where they differ, and what was decided (decision 26)."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from tests.records.reading import fields

REFUSES = "refuses"
ALIKE: Any = None


@dataclass(frozen=True)
class Text:
    """``others``: what csv, pandas and DuckDB give, where it is not what is read here (``ALIKE``)."""

    text: str
    here: list[Any]
    options: dict[str, Any]
    others: tuple[Any, Any, Any]


def of(
    text: str, here: list[Any], csv: Any = ALIKE, pandas: Any = ALIKE, duckdb: Any = ALIKE, **options: Any
) -> Text:
    return Text(text, here, options, (csv, pandas, duckdb))


HEAD, ONE = ["a", "b"], ["1", "2"]
TEXTS = {
    "plain": of("a,b\n1,2\n", [HEAD, ONE]),
    "the last line has no end": of("a,b\n1,2", [HEAD, ONE]),
    "lines end in CR LF": of("a,b\r\n1,2\r\n", [HEAD, ONE]),
    "lines end in CR": of("a,b\r1,2\r", [HEAD, ONE]),
    "mixed line ends": of("a,b\r\n1,2\n3,4\r5,6", [HEAD, ONE, ["3", "4"], ["5", "6"]], duckdb=REFUSES),
    "a quoted CR LF": of('a,b\r\n"1\r\n2",3\r\n', [HEAD, ["1\r\n2", "3"]]),
    "a quoted LF beside CR LF": of('a,b\r\n"1\n2",3\r\n', [HEAD, ["1\n2", "3"]]),
    "quotes within": of('a,b\n"x""y",2\n', [HEAD, ['x"y', "2"]]),
    "a separator within": of('a,b\n"x,y",2\n', [HEAD, ["x,y", "2"]]),
    "a quote in the middle": of('a,b\n5" pipe,2\n', [HEAD, ['5" pipe', "2"]]),
    "text behind a quote": of('a,b\n"x"y,2\n', [HEAD, ["xy", "2"]], duckdb=REFUSES),
    "text behind a quote on another line": of(
        'a,b\n"x\ny"z,2\nq,3\n',
        [HEAD, '"x', ['y"z', "2"], ["q", "3"]],
        csv=[HEAD, ["x\nyz", "2"], ["q", "3"]],
        pandas=[HEAD, ["x\nyz", "2"], ["q", "3"]],
        duckdb=REFUSES,
    ),
    "a quote that is never closed": of(
        'a,b\n"x,2\nq,3\n',
        [HEAD, '"x,2', ["q", "3"]],
        csv=[HEAD, ["x,2\nq,3\n"]],
        pandas=REFUSES,
        duckdb=REFUSES,
    ),
    "too few fields": of(
        "a,b\n1\n2,3\n",
        [HEAD, "1", ["2", "3"]],
        csv=[HEAD, ["1"], ["2", "3"]],
        pandas=[HEAD, ["1", None], ["2", "3"]],
        duckdb=REFUSES,
    ),
    "too many fields": of(
        "a,b\n1,2,3\n",
        [HEAD, "1,2,3"],
        csv=[HEAD, ["1", "2", "3"]],
        pandas=REFUSES,
        duckdb=[["1", "2", "3"]],
    ),
    "empty fields": of('a,b\n,""\n', [HEAD, [None, None]]),
    "words that are null elsewhere": of("a,b\nNA,null\n", [HEAD, ["NA", "null"]]),
    "a word that is null here": of("a,b\nNA,2\n", [HEAD, [None, "2"]], csv=[HEAD, ["NA", "2"]], nullValue="NA"),
    "blank lines": of("a,b\n\n1,2\n\n", [HEAD, ONE]),
    "white space alone": of("a,b\n  \n1,2\n", [HEAD, ONE], csv=[HEAD, ["  "], ONE], duckdb=REFUSES),
    "white space around": of('a,b\n 1 ,"2" \n', [HEAD, [" 1 ", "2 "]], duckdb=[HEAD, [" 1 ", "2"]]),
    "a tab": of("a\tb\n1\t\n", [HEAD, ["1", None]], sep="\t"),
    "another quote": of("a,b\n'1,2','3'\n", [HEAD, ["1,2", "3"]], quote="'"),
    "a backslash": of(r'''a,b
"x\"y","2"
''', [HEAD, ['x"y', "2"]], escape="\\"),
    "a backslash before a letter": of(r'''a,b
"p\nq","2"
''', [HEAD, [r"p\nq", "2"]], *[[HEAD, ["pnq", "2"]]] * 3, escape="\\"),
    "a comment": of("#x\na,b\n#y,z\n1,2\n", [HEAD, ONE], csv=[["#x"], HEAD, ["#y", "z"], ONE], comment="#"),
}  # fmt: skip


def by_csv(text: str, options: dict[str, Any]) -> list[Any]:
    escape = {"escapechar": options["escape"]} if "escape" in options else {}
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=options.get("sep", ","),
        quotechar=options.get("quote", '"'),
        **escape,
    )
    return [row for row in rows if row]


def by_pandas(text: str, options: dict[str, Any]) -> list[Any]:
    frame = pd.read_csv(
        io.StringIO(text, newline=""),
        header=None,
        dtype=str,
        keep_default_na=False,
        na_values=[options.get("nullValue", "")],
        sep=options.get("sep", ","),
        quotechar=options.get("quote", '"'),
        escapechar=options.get("escape"),
        comment=options.get("comment"),
    )
    return [list(row) for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False)]


def by_duckdb(path: Path, text: str, options: dict[str, Any]) -> list[Any]:
    path.write_bytes(text.encode())
    with duckdb.connect() as connection:
        found = connection.read_csv(
            str(path),
            header=False,
            all_varchar=True,
            sep=options.get("sep", ","),
            quotechar=options.get("quote", '"'),
            escapechar=options.get("escape", '"'),
            na_values=options.get("nullValue", ""),
            comment=options.get("comment", ""),
        ).fetchall()
    return [list(row) for row in found]


def outcome(read: Callable[[], list[Any]]) -> Any:
    try:
        return [[value or None for value in row] for row in read()]
    except (pd.errors.ParserError, csv.Error, duckdb.Error):
        return REFUSES


@pytest.mark.parametrize("name", TEXTS)
def test_it_reads_as_other_readers_do_or_as_was_decided(name: str, tmp_path: Path) -> None:
    case = TEXTS[name]
    options = {"header": False} | case.options
    assert fields(case.text, declared=("p", "q"), options=options) == case.here
    found = [
        outcome(lambda: by_csv(case.text, options)),
        outcome(lambda: by_pandas(case.text, options)),
        outcome(lambda: by_duckdb(tmp_path / "a.csv", case.text, options)),
    ]
    for other, expected in itertools.zip_longest(found, case.others):
        assert other == (case.here if expected is ALIKE else expected)

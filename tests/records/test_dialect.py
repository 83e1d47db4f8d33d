"""Options of raw files: what is known, what is refused and with what words; and hints that name one."""

from __future__ import annotations

from typing import Any

import pytest

from provender.records import hint
from provender.specs.dialect import KNOWN, check_options, dialect_of, python_encoding
from provender.specs.source import Source


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nulValue": "x"}, "unknown csv option 'nulValue'; did you mean 'nullValue'?"),
        ({"delimiter": ";"}, "unknown csv option 'delimiter'; write sep"),
        ({"emptyValue": "x"}, "unknown csv option 'emptyValue'; remove it"),
        ({"header": "yes"}, "'yes' is neither true nor false"),
        ({"encoding": "UTF-17"}, "no encoding is called 'UTF-17'"),
        ({"encoding": "rot13"}, "no encoding is called 'rot13'"),
        ({"sep": ""}, "raw.options.sep: empty"),
        ({"sep": "\\n"}, "a line break ends a record"),
        ({"quote": "''"}, "more than one character"),
        ({"quote": ","}, "',' is in sep too"),
        ({"sep": '"'}, "'\"' is in sep too"),
        ({"comment": '"'}, "the same as quote"),
        ({"sep": 7}, "7 is no text; quote it"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    found = [f"{what}; {remedy}" for _, what, remedy in check_options({"format": "csv", "options": options})]
    assert [words in each for each in found] == [True]


@pytest.mark.parametrize(
    "options",
    [
        {"sep": r"\t"},
        {"sep": "\\"},
        {"sep": "||", "quote": "", "escape": "", "comment": "#", "nullValue": "NA", "lineSep": r"\r\n"},
        {"header": "TRUE", "multiLine": True, "encoding": "windows-1252", "ignoreLeadingWhiteSpace": "false"},
        {"encoding": "UTF-16LE", "quote": "\\u0000"},
    ],
)
def test_options_that_make_sense_are_accepted(options: dict[str, Any]) -> None:
    assert list(check_options({"options": options})) == []


def test_formats_have_their_own_options() -> None:
    for kind, known in KNOWN.items():
        found = [each for each, _, _ in check_options({"format": kind, "options": {"sep": ",", "x": "y"}})]
        assert found == [name for name in ("sep", "x") if name not in known]


def test_escapes_are_the_characters_they_name() -> None:
    dialect = dialect_of({"sep": r"\t|", "quote": r"\u0000", "lineSep": r"\r\n", "escape": "\\"})
    assert (dialect.separator, dialect.quote, dialect.escape, dialect.line_break) == ("\t|", "", "\\", "\r\n")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("UTF-8", "utf-8"),
        ("ISO-8859-1", "iso8859-1"),
        ("x-MacRoman", "mac-roman"),
        ("hex", None),
        ("\0", None),
    ],
)
def test_encodings_are_known_by_javas_names_too(name: str, found: str | None) -> None:
    assert python_encoding(name) == found


def a_source(**raw: Any) -> Source:
    columns = [
        {"name": name, "type": kind} for name, kind in (("k", "STRING"), ("v", "INT64"), ("at", "TIMESTAMP"))
    ]
    return Source.model_validate(
        {
            "name": "s",
            "owner": "o",
            "cadence": "daily",
            "start": "2026-01-01",
            "raw": {"uri": "x/{partition}.csv", **raw},
            "event_timestamp": {"column": "at"},
            "columns": columns,
            "tables": [{"name": "s", "keys": ["k"]}],
        }
    )


@pytest.mark.parametrize(
    ("header", "options", "words"),
    [
        (["k;v;at"], {}, "sep: ';'"),
        (["K\tV\tAT"], {}, r'sep: "\t"'),
        (["k,v,at"], {"sep": ";"}, "sep: ','"),
        (['k;"v";at', "more"], {}, "sep: ';'"),
        (["Oslo", "5", "2026-01-01"], {}, "header: false"),
        (["k", "v", "at"], {}, None),
        (["k", "v", "at", "extra"], {}, None),
        (["Access Denied"], {}, None),
        (["name", "count", "time"], {}, None),
        (None, {}, None),
    ],
)
def test_a_hint_names_the_option_that_would_read_the_file(
    header: list[str] | None, options: dict[str, Any], words: str | None
) -> None:
    found = hint({"format": "csv", "header": header}, a_source(options=options))
    assert found is None if words is None else words in (found or "")

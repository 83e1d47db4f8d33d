"""CSV: the rule on small texts, and Arrow's fast path and every cut of a file against it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provender.records.csv_blocks import CsvBlocks
from provender.records.csv_records import _batch, count_records
from provender.records.csv_rule import CsvRule, Row
from provender.specs.dialect import dialect_of
from tests.records.reading import fields, records

TRIM = {"ignoreLeadingWhiteSpace": True, "ignoreTrailingWhiteSpace": "true"}


def test_mixed_line_ends_beside_a_quoted_line_break_leave_nothing_on_the_last_column() -> None:
    text = 'v,k\r\n"1\r\n2",Oslo\r3,Bergen\n4,Rome\r\n5,Bonn'
    assert fields(text, "a.csv", ("v", "k")) == [
        ["1\r\n2", "Oslo"],
        ["3", "Bergen"],
        ["4", "Rome"],
        ["5", "Bonn"],
    ]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("k,v\n,\"\"\n", {}, [[None, None]]),
        ("k,v\nNA,\"NA\"\n", {"nullValue": "NA"}, [[None, None]]),
        ("k,v\n5\" pipe,a\"\"b\n", {}, [['5" pipe', 'a""b']]),
        ('k,v\n"a""b","x"y\n', {}, [['a"b', "xy"]]),
        ('k,v\n"a,b",c\n', {}, [["a,b", "c"]]),
        ('k,v\n"a,b\n', {"quote": ""}, [['"a', "b"]]),
        ("k,v\n'a,b',c\n", {"quote": "'"}, [["a,b", "c"]]),
        ('k,v\n"a\\"b","\\\\"\n', {"escape": "\\"}, [['a"b', "\\"]]),
        ('k,v\n"a\\n",\\"\n', {"escape": "\\"}, [["a\\n", '\\"']]),
        ('k,v\n"C:\\","x"\n', {"escape": ""}, [["C:\\", "x"]]),
        ("k||v\na|||b\n", {"sep": "||"}, [["a", "|b"]]),
        ("k\tv\na\t\n\t\n", {"sep": r"\t"}, [["a", None], [None, None]]),
        (" k , v \n a , \"b \" \n", TRIM, [["a", "b "]]),
        ("k,v\n a,b \n", {"ignoreLeadingWhiteSpace": True}, [["a", "b "]]),
        ("#x\n\nk,v\n#y,z\na,#b\n", {"comment": "#"}, [["a", "#b"]]),
        ("k,v\n\n  \n\t\na,b\n\n", {}, [["a", "b"]]),
        ("k,v\r\na\rb,c\r\n", {"lineSep": "\r\n"}, [["a\rb", "c"]]),
        ("k,v;a,b;", {"lineSep": ";"}, [["a", "b"]]),
        ("a,b\nc,d\n", {"header": False}, [["a", "b"], ["c", "d"]]),
        ("k,v\na\n1,2,3\nb,c\n", {}, ["a", "1,2,3", ["b", "c"]]),
        ('"k\n2",v\na,b\n', {}, [["a", "b"]]),
        ("\ufeffk,v\na,b\n", {}, [["a", "b"]]),
        ('\ufeff"k","v"\na,b\n', {}, [["a", "b"]]),
        ("", {}, []),
        ("k,v\n", {}, []),
    ],
)  # fmt: skip
def test_the_rule(text: str, options: dict[str, Any], expected: list[Any]) -> None:
    assert fields(text, options=options) == expected


def test_a_column_without_a_name_is_left_out_and_its_fields_are_counted() -> None:
    text = "\tk\tv\t\n0\ta\t1\t\n1\tb\t2\t\n"
    assert records(text, options={"sep": "\t"}) == [(1, {"k": "a", "v": "1"}), (2, {"k": "b", "v": "2"})]


def test_names_match_in_any_letter_case_and_others_stay_distinct() -> None:
    assert records("K,x,x,V\na,1,2,b\n") == [(1, {"k": "a", "x": "1", "x_3": "2", "v": "b"})]


@pytest.mark.parametrize(
    ("text", "expected", "line"),
    [
        ('k,v\na,1\n"open,2\nb,3\n', [["a", "1"], '"open,2', ["b", "3"]], 3),
        ('k,v\n"open,1\n"good",2\n"too",3\n', ['"open,1', ["good", "2"], ["too", "3"]], 2),
        ('k,v\n"a\nb",1\nc,"open\nd,4\n', [["a\nb", "1"], 'c,"open', ["d", "4"]], 4),
        ('k,v\n"a\nb","open\nd,4\n', ['"a\nb","open', ["d", "4"]], 3),
    ],
)
def test_a_quote_that_is_never_closed_spoils_its_line_alone_and_is_said(
    text: str, expected: list[Any], line: int
) -> None:
    said: list[str] = []
    assert fields(text, said=said) == expected
    assert [f"line {line} is never closed" in each for each in said] == [True]


DIALECTS: list[dict[str, Any]] = [
    {},
    {"header": False},
    {"sep": "\t"},
    {"sep": ";;"},
    {"sep": "é"},
    {"quote": ""},
    {"quote": "é"},
    {"comment": "#"},
    {"escape": "\\"},
    {"escape": ""},
    TRIM,
    {"ignoreTrailingWhiteSpace": True},
    {"lineSep": "\n"},
    {"lineSep": "\r\n"},
    {"nullValue": "NA"},
]
WORDS = [
    "a",
    "NA",
    ",",
    ",",
    '"',
    '"',
    "\n",
    "\r",
    "\r\n",
    " ",
    "#",
    "\\",
    ";;",
    "\t",
    "é",
    '\n"',
    '"\n',
    ',"',
    '",',
    '""',
]


def by_the_rule(text: str, options: dict[str, Any], width: int) -> list[Row | str]:
    dialect = dialect_of(options)
    if dialect.header:
        head = CsvRule(dialect).parse(text, at_end=True, most=1)
        if not head.rows:
            return []
        [row] = head.rows
        width, text = len(row.split(dialect.separator) if isinstance(row, str) else row), text[head.end :]
    return CsvRule(dialect, width).parse(text, at_end=True).rows


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=30).map("".join),
    st.sampled_from(DIALECTS),
    st.integers(1, 3),
    st.sampled_from([1, 3, 100]),
    st.sampled_from([1, 4, 1000]),
)
def test_blocks_and_arrow_give_what_the_rule_gives_however_the_file_is_cut(
    text: str, options: dict[str, Any], width: int, piece: int, block_bytes: int
) -> None:
    blocks = CsvBlocks(dialect_of(options), block_bytes)
    blocks.expect(width)
    found: list[Any] = []
    for block in blocks.walk(text[at : at + piece].encode() for at in range(0, len(text), piece)):
        columns = len(blocks.header) if blocks.header is not None else width
        batch = _batch(blocks, block, [str(at) for at in range(columns)], 1)
        assert count_records(blocks, block) == len(batch.numbers)
        rows = zip(batch.fields.to_pylist(), batch.malformed.to_pylist(), strict=True)
        found += [list(row.values()) if shown is None else shown for row, shown in rows]
    assert found == by_the_rule(text, options, width)

"""JSON lines: every object is a record, and nothing on a line is passed over."""

from __future__ import annotations

from typing import Any

import pytest

from provender.records.json_records import count_json_lines
from tests.records.reading import fields, records


def read(text: str | bytes, **options: Any) -> list[Any]:
    return fields(text, "rows.json", format="json", options=options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"k":"a","v":1}{"k":"b"} {"k":"c"}\n{"k":"d"}', [["a", "1"], ["b", None], ["c", None], ["d", None]]),
        ('{"k":"a"} and more\n{"k":"b"}\n', [["a", None], "and more", ["b", None]]),
        ('not json\n[1, 2]\n"x"\n7\nnull\n', ["not json", "[1, 2]", '"x"', "7", "null"]),
        ('{"k":"a"}{"k":"b\n', [["a", None], '{"k":"b']),
        ('{"k":1e400,"v":-0.10}\n{"k":123456789012345678901}', [["1e400", "-0.10"], ["123456789012345678901", None]]),
        ('{"k":true,"v":{"b": [1.50, null, "é"], "a": false}}', [["true", '{"b":[1.50,null,"é"],"a":false}']]),
        ('{"k":"1.50","v":NaN}', [["1.50", "NaN"]]),
        ('{"K":"a","V":2,"x":1}', [["a", "2"]]),
        ('{"k":1,"K":2}\n{"k":1,"k":1}\n{"x":1,"x":2}', ['{"k":1,"K":2}', '{"k":1,"k":1}', [None, None]]),
        ('{"k":"\\ud800"}\n{"k":"\\ud83d\\ude00"}', ['{"k":"\\ud800"}', ["😀", None]]),
        ('\ufeff{"k":"a"}\r{"k":"b"}\r\n\r\n{"k":"c"}', [["a", None], ["b", None], ["c", None]]),
        ('{"k":"line\u2028separator\x85"}', [["line\u2028separator\x85", None]]),
        ("{'k': 'a'}", ["{'k': 'a'}"]),
        ('{"k":"a\tb"}', ['{"k":"a\tb"}']),
        ('{"k":"a"}\n\ufeff{"k":"b"}\ufeff{"k":"c"}', [["a", None], ["b", None], ["c", None]]),
        ("{}\n", [[None, None]]),
        ("\n \n", []),
    ],
)  # fmt: skip
def test_records(text: str, expected: list[Any]) -> None:
    assert read(text) == expected
    assert count_json_lines([text.encode().removeprefix(b"\xef\xbb\xbf")], "") == len(expected)


def test_depth_without_end_is_a_malformed_record() -> None:
    [shown] = read("[" * 100_000)
    assert len(shown) == 1 << 16


def test_other_encodings_and_numbers_of_records() -> None:
    data = '{"k":"å"}{"k":2}\nx\n'.encode("utf-16")
    found = records(data, "rows.json", format="json", options={"encoding": "UTF-16"})
    assert found == [(1, {"k": "å", "v": None}), (2, {"k": "2", "v": None}), (3, "x")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[\n{"k":1,\n"v":2},\n {"k":3}\n]\n', [["1", "2"], ["3", None]]),
        ('{"k":1}\n{"k"\n:2} x', [["1", None], ["2", None], "x"]),
        ('{"k":1', ['{"k":1']),
        ("[]", []),
        ("", []),
    ],
)
def test_values_over_several_lines(text: str, expected: list[Any]) -> None:
    assert read(text, multiLine=True) == expected


def test_one_value_over_several_lines_gets_a_hint() -> None:
    said: list[str] = []
    fields('[\n{"k":1},\n{"k":2}\n]', "rows.json", said=said, format="json")
    assert ["multiLine: true" in each for each in said] == [True]

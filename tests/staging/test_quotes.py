from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provender.specs.model import Raw
from provender.staging.quotes import scan_quotes

RAW = Raw(uri="x/{partition}.csv")


def scan(text: str, size: int = 1 << 20, **options: str) -> tuple[bool, int | None]:
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    found = scan_quotes(pieces, RAW.model_copy(update={"options": options}))
    return found["multiline"], found["unclosed_quote"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n", (False, None)),
        ('a,b\n"1",2\n', (False, None)),
        ('a,b\n"1\n2",3\n', (True, None)),
        ('a,b\n"1\r2",3\n', (True, None)),
        ('a,b\n5" pipe,3\n6" pipe,4\n', (False, None)),
        ('a,b\n"say ""hi""\n",3\n', (True, None)),
        ('a,b\n1,2\n"open,3\n4,5\n', (False, 3)),
        ('"open', (False, 1)),
        ('\ufeff"a\nb",c\n', (True, None)),
        ('a,b\n"1\n2",3\n4,"open\n5,6\n', (False, 4)),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1 << 20])
def test_quotes_are_followed_whatever_the_pieces(
    text: str, expected: tuple[bool, int | None], size: int
) -> None:
    assert scan(text, size) == expected


def test_an_escaped_quote_does_not_close() -> None:
    assert scan('a,b\n"x\\"\ny",2\n', 1, escape="\\") == (True, None)


@given(st.lists(st.lists(st.text(alphabet='ab", \n'), min_size=2, max_size=3), max_size=5), st.integers(1, 7))
def test_what_a_csv_writer_wrote_is_closed_and_multiline_if_a_value_is(
    rows: list[list[str]], size: int
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    expected = any("\n" in value for row in rows for value in row)
    assert scan(text.getvalue(), size) == (expected, None)

"""Reading a few bytes, for tests."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from provender.records import Part, read_records
from provender.specs.source import Raw

Record = tuple[int, dict[str, Any] | str]
"""Number, and fields or the text of a malformed record."""


def raw(**changes: Any) -> Raw:
    return Raw(uri="x/{partition}.csv", **changes)


def records(
    data: bytes | str,
    name: str = "rows.csv",
    declared: Sequence[str] = ("k", "v"),
    part: Part | None = None,
    said: list[str] | None = None,
    **changes: Any,
) -> list[Record]:
    """The records of ``data``; ``changes`` are of ``raw``."""
    opened = io.BytesIO(data.encode() if isinstance(data, str) else data)
    say = said.append if said is not None else None
    found: list[Record] = []
    for batch in read_records(opened, name, raw(**changes), list(declared), part or Part(), say):
        rows = zip(
            batch.numbers.to_pylist(), batch.fields.to_pylist(), batch.malformed.to_pylist(), strict=True
        )
        found += [(number, fields if text is None else text) for number, fields, text in rows]
    return found


def fields(data: bytes | str, *given: Any, **changes: Any) -> list[list[Any] | str]:
    """The same without numbers and names."""
    return [
        list(found.values()) if isinstance(found, dict) else found
        for _, found in records(data, *given, **changes)
    ]

"""What a file's header says of the options it would be read with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from provender.specs.dialect import dialect_of
from provender.specs.source import Source

_SEPARATORS = {";": "';'", "\t": r'"\t"', "|": "'|'", ",": "','"}
_VALUE = re.compile(
    r"[+-]?[\d.,]+%?|\d{4}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*|true|false|", re.IGNORECASE
)


def hint(profile: Mapping[str, Any], source: Source) -> str | None:
    """One sentence with the option of ``raw.options`` that would read a file whose columns are not the spec's; None if
    there is no such option. ``profile``: what :func:`provender.staging.profile.profile` found (of CSV its ``header``).
    """
    header = profile.get("header")
    declared = [column.name for column in source.columns]
    if profile.get("format") != "csv" or not header or _matches(header, declared):
        return None
    dialect = dialect_of(source.raw.options)
    for sign, shown in _SEPARATORS.items():
        cells = [
            cell.strip().strip(dialect.quote or None) for cell in dialect.separator.join(header).split(sign)
        ]
        if sign != dialect.separator and _matches(cells, declared):
            return f"its fields seem to be separated by {sign!r}: set raw.options to {{sep: {shown}}}"
    if _has_no_names(header, declared):
        return "its first line seems to be a row and not the names of columns: set raw.options to {header: false}"
    return None


def _matches(cells: Sequence[str], declared: Sequence[str]) -> bool:
    """Whether at least half of the declared columns are among ``cells``."""
    found = {cell.lower() for cell in cells}
    return 2 * sum(name.lower() in found for name in declared) >= max(1, len(declared))


def _has_no_names(header: Sequence[str], declared: Sequence[str]) -> bool:
    """A row of as many fields as there are columns, of which one at least is a number, a date or empty, and none is the
    name of a column."""
    known = {name.lower() for name in declared}
    return (
        len(header) == len(declared)
        and any(_VALUE.fullmatch(cell.strip()) for cell in header)
        and not any(cell.lower() in known for cell in header)
    )

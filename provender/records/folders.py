"""Columns that stand in the names of folders, as Hive and Spark write them: ``dt=2026-11-20/part-0.csv``.

A staged copy lies in one folder, so the values move into its name: ``dt=2026-11-20++part-0.csv``, what is not plain
written as a plus and two hexadecimal digits for each byte of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

_PAIR = re.compile(r"([^=+/]+)=([^/]*)")
_END = "++"
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")
_CODED = re.compile(r"(?:\+[0-9A-F]{2})+")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def folder_values(path: str, declared: Sequence[str]) -> dict[str, str]:
    """The declared columns among the ``key=value`` folders of a path or URI, whatever their letter case, and the texts
    they stand for as they are written there."""
    by_case = {name.lower(): name for name in reversed(declared)}
    found = {}
    for part in path.split("/")[:-1]:
        pair = _PAIR.fullmatch(part)
        if pair and (name := by_case.get(unquote(pair[1]).lower())):
            found[name] = unquote(pair[2])
    return found


def is_pair(folder: str) -> bool:
    """Whether a folder's name is a column and its value."""
    return _PAIR.fullmatch(folder) is not None


def named_with(values: Mapping[str, str], name: str) -> str:
    """``name`` with the values before it."""
    pairs = "".join(f"{_coded(key)}={_coded(value)}{_END}" for key, value in values.items())
    return pairs + name


def values_in(name: str) -> dict[str, str | None]:
    """What :func:`named_with` put before a name; an empty text and Hive's word for null are null."""
    found: dict[str, str | None] = {}
    for part in name.split(_END)[:-1]:
        key, sign, value = part.partition("=")
        if sign:
            text = _decoded(value)
            found[_decoded(key)] = None if text in ("", _NULL) else text
    return found


def _coded(text: str) -> str:
    return _NOT_PLAIN.sub(lambda found: "".join(f"+{octet:02X}" for octet in found[0].encode()), text)


def _decoded(text: str) -> str:
    return _CODED.sub(lambda found: bytes.fromhex(found[0].replace("+", "")).decode(errors="replace"), text)

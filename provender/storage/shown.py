"""Which names are hidden: those that begin with ``.`` or ``_``, as Hadoop, Spark and a shell have it."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

SIGNS = "*?["
_MARKS = (".", "_")


def is_hidden(name: str) -> bool:
    """Whether a file's or folder's name is hidden."""
    return name.startswith(_MARKS)


def is_shown(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether no part of a path is hidden, but for those that a part of the pattern begins like and fits."""
    named = [part for part in pattern if part.startswith(_MARKS)]
    return not any(is_hidden(part) and not any(fnmatchcase(part, each) for each in named) for part in parts)

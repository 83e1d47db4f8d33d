"""What is wrong with a definition: one line each, with file, line and remedy.

feature_defs/sources/flights.yaml:12: unknown key 'latness'; did you mean 'lateness'?
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from provender.errors import SpecError

Location = tuple[str | int, ...]
"""Where in a document: keys and 0-based list positions, from the root."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what to do about it."""

    path: Path
    line: int
    """1-based."""
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{shown_path(self.path)}:{self.line}: {_one_line(self.what)}; {_one_line(self.remedy)}"


def to_error(problems: Iterable[Problem]) -> SpecError:
    """All ``problems`` as one error, a line each, in the order of files and lines."""
    ordered = sorted(problems, key=lambda problem: (str(problem.path), problem.line))
    lines = tuple(dict.fromkeys(str(problem) for problem in ordered))
    return SpecError("\n".join(lines), problems=lines)


def cannot_be_checked(path: Path, error: BaseException) -> SpecError:
    """For a file on which a check itself fails: a fault of this program, which is no reason to stop for the others."""
    what = f"cannot be checked: {type(error).__name__}: {str(error)[:200]}"
    return to_error(
        [Problem(path, 1, what, "write it like the examples in docs/sources.md, and report this")]
    )


def shown_path(path: Path) -> str:
    """``path`` relative to the current directory where it lies under it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def shown_location(location: Location) -> str:
    """``columns[3].type``: list positions counted from 0."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return text.removeprefix(".")


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` is most likely a misspelling of."""
    lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """A remedy: the closest known name, else ``otherwise``, else all known names (at most 20)."""
    names = list(known)
    match = closest(name, names)
    if match is not None:
        return f"did you mean {match!r}?"
    if otherwise is not None:
        return otherwise
    if not names:
        return "there are none yet"
    return "there is " + ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def _one_line(text: str) -> str:
    """Control characters escaped: a hostile value cannot start a line of its own in a log or a terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)

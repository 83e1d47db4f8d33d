"""Which column of a file is which of the spec's."""

from __future__ import annotations

from collections.abc import Sequence

from provender.records.damage import UnreadableFileError


def placed(names: Sequence[str], declared: Sequence[str]) -> list[str | None]:
    """For each of a file's column ``names`` the name under which it is given: a declared one where it is that one in
    whatever letter case, else its own, made distinct. None for a column without a name.

    Raises :class:`UnreadableFileError` if the file names a declared column twice, upper and lower case alike.
    """
    by_case = {name.lower(): name for name in reversed(declared)}
    exact, small = set(declared), [name.lower() for name in names]
    if len(set(small)) < len(small):
        twice = sorted({name for name in small if name in by_case and small.count(name) > 1})
        if twice:
            raise twice_error(twice)
    found: list[str | None] = []
    used = {by_case[name] for name in small if name in by_case}
    for at, name in enumerate(names):
        own = name if name in exact else by_case.get(name.lower())
        if own is None and name:
            own = name if name not in used else f"{name}_{at + 1}"
            used.add(own)
        found.append(own)
    return found


def twice_error(twice: Sequence[str]) -> UnreadableFileError:
    """The file names columns twice."""
    return UnreadableFileError(
        f"it names the column {', '.join(twice)} twice (upper and lower case are the same)",
        "deliver the file with distinct column names",
    )

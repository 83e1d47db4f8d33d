"""Datetime patterns, in Spark's letters, as regular expressions.

    ======================  ==========================================================
    ``yyyy`` ``yy`` ``y``   year: four digits; two of 2000 to 2099; one to four
    ``MM`` ``M``            month: two digits; one or two (``L`` too)
    ``MMM`` ``MMMM``        ``Nov``, ``November``
    ``dd`` ``d``            day of the month
    ``DDD`` ``D``           day of the year, instead of month and day
    ``E`` ``EEEE``          ``Fri``, ``Friday``: must be the date's
    ``HH`` ``H``            hour, 0 to 23 (``kk`` 1 to 24)
    ``hh`` ``h``            hour, 1 to 12 (``KK`` 0 to 11), with ``a`` (``AM``, ``PM``)
    ``mm`` ``ss``           minute, second (``m``, ``s``: one or two digits)
    ``S``...                fraction of a second: one digit, or as many as there are letters
    ``X`` ``x`` ``Z`` ``O`` offset: ``+01``, ``+0100``, ``+01:00``, ``Z``, ``GMT+1``
    ``VV`` ``z``            zone: ``America/New_York``, ``UTC``
    ``G``                   ``AD``
    ``'text'`` ``''``       itself
    ``[ ]``                 may be left out
    ======================  ==========================================================

Other characters stand for themselves. Names are English; upper and lower case are the same.
The specs ask this module, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TOKEN = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|.", re.DOTALL)
_OFFSETS = {
    "X": (r"Z|[+-]\d{2}(?:\d{2})?", r"Z|[+-]\d{4}", r"Z|[+-]\d{2}:\d{2}"),
    "x": (r"[+-]\d{2}(?:\d{2})?", r"[+-]\d{4}", r"[+-]\d{2}:\d{2}"),
    "Z": (r"[+-]\d{4}", r"[+-]\d{4}", r"[+-]\d{4}", r"GMT(?:[+-]\d{2}:\d{2})?", r"Z|[+-]\d{2}:\d{2}"),
}
_LOCALIZED = r"(?:GMT|UTC|UT)(?:[+-]\d{1,2}(?::\d{2})?)?"
_REGION = r"[+-][0-9:]+|[A-Za-z][A-Za-z0-9_+:/-]*"
_NAMES = {3: (3, 3), 4: (None, 4)}
_KINDS = {"L": "M", "x": "zone", "X": "zone", "Z": "zone", "O": "zone", "V": "zone", "z": "zone", "k": "H"}
_KINDS |= {"K": "h"}
"""Letters that say the same thing."""
_NEEDS = {"M": "y", "d": "M", "D": "y", "h": "a", "a": "h", "m": "Hh", "s": "m", "S": "s", "E": "d"}


class RefusedPatternError(ValueError):
    """A pattern that times cannot be read by; ``str()`` says why."""


@dataclass(frozen=True)
class Pattern:
    """``form``: a regular expression with a group ``g0``, ``g1``, ... for each of ``letters`` (a run of one letter)."""

    form: str
    letters: tuple[str, ...]

    @property
    def names_zone(self) -> bool:
        """Whether values may say which zone they are in."""
        return any(kind_of(letters) == "zone" for letters in self.letters)


def check_pattern(pattern: str) -> str | None:
    """What is wrong with a datetime pattern, in one sentence; None for one that times can be read by."""
    try:
        compiled(pattern)
    except RefusedPatternError as refusal:
        return str(refusal)
    return None


@cache
def compiled(pattern: str) -> Pattern:
    """The pattern as a regular expression that RE2 knows. Raises :class:`RefusedPatternError`."""
    form: list[str] = []
    letters: list[str] = []
    depth = 0
    for token in _tokens(pattern):
        if token[0].isalpha() and token.isascii():
            form.append(f"(?P<g{len(letters)}>{_expression(token)})")
            letters.append(token)
        elif token in ("[", "]"):
            depth += 1 if token == "[" else -1
            if depth < 0:
                break
            form.append("(?:" if token == "[" else ")?")
        else:
            form.append(re.escape(_literal(token)))
    if depth:
        raise RefusedPatternError("a bracket has no other end")
    _require_sense(letters)
    return Pattern(f"(?i)^{''.join(form)}$", tuple(letters))


def _tokens(pattern: str) -> Iterator[str]:
    for found in _TOKEN.finditer(pattern):
        if found[0] == "'":
            raise RefusedPatternError("a quote is never closed")
        if found[0] == "%":
            raise RefusedPatternError("% is strftime's: a day is dd, a month MM, a year yyyy")
        if found[0] in "#{}":
            raise RefusedPatternError(f"{found[0]!r} is reserved: write it in quotes")
        yield found[0]


def _literal(token: str) -> str:
    if token[0] != "'" or len(token) == 1:
        return token
    return token[1:-1].replace("''", "'") or "'"


def kind_of(letters: str) -> str:
    """What the letters say: different letters may say the same thing."""
    return _KINDS.get(letters[0], letters[0])


def _expression(letters: str) -> str:
    letter, count = letters[0], len(letters)
    if letter in "yMLdDEHhKkmsSaGXxZOVz":
        found = _of_letter(letter, count)
        if found:
            return found
        raise RefusedPatternError(f"{letters!r} has too many letters, or too few")
    instead = {"Y": "the year is yyyy", "u": "the year is yyyy", "T": "write 'T'", "A": "AM and PM are a"}
    raise RefusedPatternError(
        f"{letters!r} cannot be read" + (f": {instead[letter]}" if letter in instead else "")
    )


def _of_letter(letter: str, count: int) -> str | None:
    if letter == "y":
        return {1: r"\d{1,4}", 2: r"\d{2}", 3: r"\d{3,4}", 4: r"\d{4}"}.get(count)
    if letter in "ML" and count in (3, 4):
        return "|".join(sorted({name[: _NAMES[count][0]] for name in MONTHS}))
    if letter in "MLdHhKkms":
        return {1: r"\d{1,2}", 2: r"\d{2}"}.get(count)
    if letter == "D":
        return {1: r"\d{1,3}", 2: r"\d{2,3}", 3: r"\d{3}"}.get(count)
    if letter == "E":
        cut = None if count == 4 else 3
        return "|".join(name[:cut] for name in WEEKDAYS) if count <= 4 else None
    if letter == "S":
        return rf"\d{{1,{count}}}" if count <= 9 else None
    if letter == "a":
        return "AM|PM" if count == 1 else None
    if letter == "G":
        return {1: "AD", 2: "AD", 3: "AD", 4: "Anno Domini"}.get(count)
    return _of_zone(letter, count)


def _of_zone(letter: str, count: int) -> str | None:
    if letter == "O":
        return _LOCALIZED if count in (1, 4) else None
    if letter in "Vz":
        return _REGION if (count == 2 if letter == "V" else count <= 4) else None
    forms = _OFFSETS[letter]
    if count <= len(forms):
        return forms[count - 1]
    if letter == "Z" or count > 5:
        return None
    form = r"[+-]\d{4}(?:\d{2})?" if count == 4 else r"[+-]\d{2}:\d{2}(?::\d{2})?"
    return f"Z|{form}" if letter == "X" else form


def _require_sense(letters: list[str]) -> None:
    """Refuses what is written in good faith and means something else: ``mm`` for months, ``hh`` without AM or PM."""
    kinds = [kind_of(each) for each in letters]
    twice = next((each for each, kind in zip(letters, kinds, strict=True) if kinds.count(kind) > 1), None)
    if twice:
        also = ": months are MM, minutes mm" if twice[0] in "Mm" else ""
        raise RefusedPatternError(f"{twice!r} says what another part says already{also}")
    if "y" not in kinds:
        raise RefusedPatternError("no year (yyyy)")
    if "D" in kinds and {"M", "d"} & set(kinds):
        raise RefusedPatternError("D is the day of the year: the day of a month is dd")
    if {"H", "h"} <= set(kinds):
        raise RefusedPatternError("two hours: HH is one of 24, hh one of 12")
    for each, kind in zip(letters, kinds, strict=True):
        if kind in _NEEDS and not set(_NEEDS[kind]) & set(kinds):
            raise RefusedPatternError(_missing(each, kind))


def _missing(letters: str, kind: str) -> str:
    if kind == "h":
        return f"{letters!r} is an hour of 12, without AM or PM (a): an hour of 24 is HH"
    if kind == "m":
        return f"{letters!r} is a minute, without an hour: a month is MM"
    return f"{letters!r} without {' or '.join(_NEEDS[kind])}"

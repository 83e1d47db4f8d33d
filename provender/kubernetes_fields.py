"""Types for settings that end in a Kubernetes object: what an API server, Spark or the JVM refuses is refused on load.

Sources: Kubernetes' "Object Names and IDs", "Labels and Selectors" and "Quantity"; Spark's configuration page.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_WORD = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NUMBER = re.compile(
    r"(?P<number>[0-9]+(\.[0-9]*)?|\.[0-9]+)((?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]{1,2}))?"
)
_SCALE: dict[str | None, Decimal] = {
    None: Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def quantity(text: str) -> Decimal:
    """The number that a Kubernetes quantity (``500m``, ``2Gi``) stands for. Raises :class:`ValueError`."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity, such as 500m, 2 or 1Gi")
    return Decimal(found["number"]) * _SCALE[found["suffix"]] * Decimal(10) ** int(found["exponent"] or 0)


def _cpu(text: str) -> str:
    if text and not Decimal("0.001") <= quantity(text):
        raise ValueError(f"{text!r} is no CPU: the least is 1m, a thousandth")
    return text


def _bytes(text: str) -> str:
    if quantity(text) < 1:
        raise ValueError(f"{text!r} is no memory: write bytes, or a unit such as Mi or Gi")
    return text


def _matching(pattern: str, needs: str, longest: int = 253) -> AfterValidator:
    """Empty texts pass: they stand for a default."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if text and (len(text) > longest or not compiled.fullmatch(text)):
            raise ValueError(f"{text!r} is not {needs}")
        return text

    return AfterValidator(check)


Namespace = Annotated[
    str,
    StringConstraints(min_length=1),
    _matching(_LABEL, "a Kubernetes namespace: lower-case letters, digits and -, 63 at most", 63),
]
ObjectName = Annotated[
    str, _matching(_SUBDOMAIN, "a name of a Kubernetes object: lower-case letters, digits, - and .")
]
LabelKey = Annotated[
    str, _matching(rf"({_SUBDOMAIN}/)?{_WORD}", "a key that Kubernetes takes: name, or domain/name", 317)
]
LabelValue = Annotated[
    str, _matching(_WORD, "a value that Kubernetes takes: letters, digits, -, _ and ., 63 at most", 63)
]
VariableName = Annotated[
    str, StringConstraints(min_length=1), _matching(r"[ -<>-~]+", "a name of an environment variable")
]
Cpu = Annotated[str, AfterValidator(_cpu)]
"""CPUs in Kubernetes' units; may be empty."""
Memory = Annotated[str, AfterValidator(_bytes)]
"""Memory in Kubernetes' units."""
HeapSize = Annotated[
    str,
    StringConstraints(min_length=1),
    _matching(r"[1-9][0-9]*[kKmMgGtT]", "a size of a JVM's heap, such as 512m or 4g"),
]
SparkSize = Annotated[
    str,
    _matching(
        r"[1-9][0-9]*([kKmMgGtTpP]?[bB])?|[1-9][0-9]*[kKmMgGtTpP]",
        "a size in Spark's units, such as 512m or 4g",
    ),
]
"""May be empty."""

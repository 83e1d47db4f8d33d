"""Search over a catalog: every word of a query is looked for in names, descriptions, owners, tags, SQL and columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from provender.catalog.facts import FeatureCatalog, FeatureFact

_WORD = re.compile(r"[a-z]+|\d+")
_WEIGHTS = {
    "name": 8,
    "keys": 4,
    "tags": 4,
    "owner": 4,
    "description": 3,
    "source": 3,
    "sql": 1,
    "columns": 1,
}
_MEANINGS: Mapping[str, tuple[str, ...]] = {
    "average": ("mean", "avg"),
    "mean": ("avg", "average"),
    "number": ("count",),
    "count": ("number",),
    "total": ("sum",),
    "sum": ("total",),
    "share": ("ratio", "rate", "percent"),
    "ratio": ("share", "rate"),
    "rate": ("share", "ratio"),
    "daily": ("day",),
    "day": ("daily",),
    "hourly": ("hour",),
    "hour": ("hourly",),
    "weekly": ("week", "7d"),
    "monthly": ("month", "30d"),
    "late": ("delay", "delayed"),
    "delay": ("late",),
}
"""Words that people use for one another."""
_LEAST_PREFIX = 3


@dataclass(frozen=True)
class Facets:
    """What features must be to be found; None: anything."""

    source: str | None = None
    owner: str | None = None
    key: str | None = None
    """A join key."""
    type: str | None = None
    tag: str | None = None
    online: bool | None = None
    served: bool | None = None
    """Whether a version of a model that reads it serves now."""

    def allow(self, fact: FeatureFact) -> bool:
        """Whether ``fact`` is what is asked for."""
        return (
            self.source in (None, fact.source)
            and self.owner in (None, fact.owner)
            and self.type in (None, fact.type)
            and (self.key is None or self.key in fact.keys)
            and (self.tag is None or self.tag in fact.tags)
            and self.online in (None, fact.online)
            and self.served in (None, bool(fact.served_by))
        )


def search(catalog: FeatureCatalog, query: str, facets: Facets = Facets()) -> list[FeatureFact]:
    """Find the features in which every word of ``query`` is, or a word of the same meaning; the best first, among
    equals the most used. A word is found as the beginning of one, too. An empty query finds everything."""
    words = [word for word in _words(query) if word not in _PASSED_OVER]
    ranked = []
    for fact in catalog.features.values():
        if facets.allow(fact) and (score := _score(fact, words)) is not None:
            ranked.append((-score, -fact.uses, fact.name, fact))
    return [fact for *_, fact in sorted(ranked, key=lambda entry: entry[:3])]


_PASSED_OVER = {"of", "the", "a", "an", "in", "per", "by", "and", "for", "on", "past", "last"}


def _score(fact: FeatureFact, words: list[str]) -> int | None:
    weights = _weights(fact)
    scores = [_best(weights, word) for word in words]
    return None if 0 in scores else sum(scores)


def _best(weights: Mapping[str, int], word: str) -> int:
    own = 2 * weights.get(word, 0)
    if not own and len(word) >= _LEAST_PREFIX:
        own = max((weight for other, weight in weights.items() if other.startswith(word)), default=0)
    return max([own, *(weights.get(other, 0) for other in _MEANINGS.get(word, ()))])


@lru_cache(maxsize=20_000)
def _weights(fact: FeatureFact) -> dict[str, int]:
    """Word to the weight of the best place that it stands in."""
    found: dict[str, int] = {}
    for place, text in _texts(fact):
        for word in _words(text):
            found[word] = max(found.get(word, 0), _WEIGHTS[place])
    return found


def _texts(fact: FeatureFact) -> Iterator[tuple[str, str]]:
    yield "name", fact.name
    yield "keys", " ".join(fact.keys)
    yield "tags", " ".join(fact.tags)
    yield "owner", fact.owner
    yield "description", fact.description
    yield "source", f"{fact.source} {fact.table} {fact.cadence}"
    yield "sql", fact.sql
    yield "columns", " ".join(fact.columns)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())

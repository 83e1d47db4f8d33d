"""The facts of a catalog, as frozen records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta


@dataclass(frozen=True)
class FeatureFact:
    """One feature of an applied view."""

    view: str
    feature: str
    type: str
    description: str
    keys: tuple[str, ...]
    """Join keys: what it is about."""
    source: str
    table: str
    owner: str
    tags: tuple[str, ...]
    cadence: str
    online: bool
    ttl: timedelta | None
    """How old a value may be in a join; 0: no limit, None: not known, since an older version applied the view."""
    sql_file: str
    """Empty for a table taken as it is."""
    sql: str
    columns: tuple[str, ...]
    """The source's raw columns."""
    services: tuple[str, ...]
    """Feature services with it."""
    models: tuple[str, ...]
    """Models that read it."""
    served_by: tuple[str, ...]
    """Models of which a version that reads it serves now."""

    @property
    def name(self) -> str:
        """``view:feature``."""
        return f"{self.view}:{self.feature}"

    @property
    def uses(self) -> int:
        """How many services and models read it, serving ones twice."""
        return len(self.services) + len(self.models) + len(self.served_by)

    @property
    def snippet(self) -> str:
        """Python that reads it online."""
        keys = ", ".join(f'"{key}": …' for key in self.keys)
        return f'store.get_online_features(features=["{self.name}"], entity_rows=[{{{keys}}}]).to_dict()'


@dataclass(frozen=True)
class SourceFact:
    """One source."""

    name: str
    description: str
    owner: str
    tags: tuple[str, ...]
    cadence: str
    raw: str
    """Where its raw rows are: a URI, or the name of a connection."""
    columns: tuple[str, ...]
    tables: tuple[str, ...]
    features: tuple[str, ...]
    """``view:feature`` of everything that is read from it."""
    models: tuple[str, ...]
    """Models that stand on it."""

    @property
    def dag(self) -> str:
        """Its DAG in Airflow."""
        return f"features__{self.name}"


@dataclass(frozen=True)
class ModelFact:
    """One model."""

    name: str
    description: str
    owner: str
    tags: tuple[str, ...]
    features: tuple[str, ...]
    sources: tuple[str, ...]
    serving: str | None
    """The version that serves now."""
    versions: tuple[str, ...]
    training_sets: tuple[str, ...]
    """Ids of what was built for it."""

    @property
    def dag(self) -> str:
        """Its DAG in Airflow."""
        return f"model__{self.name}"


@dataclass(frozen=True)
class FeatureCatalog:
    """Everything that there is, by name."""

    features: dict[str, FeatureFact]
    sources: dict[str, SourceFact]
    models: dict[str, ModelFact]

    def readable(self, may_read: Callable[[str], bool]) -> FeatureCatalog:
        """What whoever may read only the DAGs for which ``may_read`` holds gets to see: no other source's or model's
        name is in it anywhere, lineage included."""
        sources = {name for name, fact in self.sources.items() if may_read(fact.dag)}
        models = {n for n, m in self.models.items() if may_read(m.dag) and {*m.sources} <= sources}
        features = {n: _of_models(f, models) for n, f in self.features.items() if f.source in sources}
        return FeatureCatalog(
            features,
            {n: _source_of(s, models) for n, s in self.sources.items() if n in sources},
            {n: m for n, m in self.models.items() if n in models},
        )


def _of_models(fact: FeatureFact, models: set[str]) -> FeatureFact:
    return replace(fact, models=_among(fact.models, models), served_by=_among(fact.served_by, models))


def _source_of(fact: SourceFact, models: set[str]) -> SourceFact:
    return replace(fact, models=_among(fact.models, models))


def _among(names: tuple[str, ...], allowed: set[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in allowed)

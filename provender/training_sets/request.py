"""What is asked for: which entity rows, which features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provender.errors import SourceNotReadyError
from provender.intervals import Partition
from provender.ledger import Ledger
from provender.settings import Settings
from provender.specs.models import ModelCatalog, ModelSpec
from provender.specs.source import ColumnType
from provender.storage import storage_at
from provender.training_sets.keys import (
    SourceProgress,
    cadence_of,
    newest_complete_key,
    newest_started_key,
    why_incomplete,
)
from provender.training_sets.rows import Rows


@dataclass(frozen=True)
class SqlRows:
    """Spark SQL over the accepted raw rows of a source, of the periods in ``[window)``."""

    source: str
    sql: str
    path: str
    """The SQL file, for messages."""
    window: Partition
    """``[start, end)``; its ends are the source's period boundaries."""


@dataclass(frozen=True)
class Request:
    """A training set, as asked for."""

    name: str
    entities: SqlRows | str | Rows
    """SQL, a Parquet or CSV file's URI, or the rows themselves."""
    features: tuple[str, ...] | str
    """``view:feature``, or a feature service's name."""
    label: str | None = None
    request: Mapping[str, ColumnType] = field(default_factory=dict)
    """Columns that a request brings too, with their types."""
    as_known: bool = True
    full_feature_names: bool = True
    is_for_training: bool = False
    """Whether rows without a time are refused."""


def request_of_model(settings: Settings, model: str, key: str | None = None) -> Request:
    """The training set of ``model`` for the partition ``key``: rows of the window that ends with it.

    ``key`` defaults to the newest one that all the model's sources have. Raises :class:`SpecError`,
    :class:`PartitionError`, :class:`SourceNotReadyError`.
    """
    catalog = ModelCatalog.load(settings.repo)
    spec = catalog.model(model)
    return Request(
        name=spec.name,
        entities=_entities(settings, catalog, spec, key),
        features=spec.feature_service or spec.features,
        label=spec.label,
        request={column.name: column.type for column in spec.request},
        as_known=spec.as_known,
        is_for_training=True,
    )


def key_of(settings: Settings, catalog: ModelCatalog, spec: ModelSpec, key: str | None) -> Partition:
    """The partition a model is trained for."""
    sources = catalog.sources_of(spec).values()
    cadence = cadence_of(sources)
    if key:
        return Partition.parse(cadence, key)
    storage = storage_at(settings.storage_root)
    progress = [SourceProgress.of(source, Ledger(storage, source.name)) for source in sources]
    newest = newest_complete_key(progress, cadence)
    if newest is None:
        started = newest_started_key(progress, cadence)
        raise SourceNotReadyError(
            f"no key is complete for all sources of {spec.name}: {', '.join(source.name for source in sources)}",
            where=why_incomplete(progress, started) if started else "none of them has a partition online yet",
            not_affected="everything: nothing was read",
            remedy=f"see what is missing (provender status), or name one: provender training-set build {spec.name} KEY",
        )
    return newest


def _entities(settings: Settings, catalog: ModelCatalog, spec: ModelSpec, key: str | None) -> SqlRows | str:
    if spec.entities.uri is not None:
        uri = spec.entities.uri
        return uri if "://" in uri else (settings.repo / uri).resolve().as_uri()
    assert spec.entities.source is not None and spec.entities.sql is not None
    end = key_of(settings, catalog, spec, key).end
    cadence = catalog.sources.source(spec.entities.source).cadence
    path = Path(settings.repo, "models", spec.entities.sql)
    window = Partition(end - spec.window, end, cadence)
    return SqlRows(spec.entities.source, catalog.sql_of(spec.name), str(path), window)

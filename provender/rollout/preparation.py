"""Reads both stores for a smoke test, while nobody writes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

import pyarrow as pa

from provender.intervals import Partition
from provender.model_registry.artifact import LOCKFILE, Artifact
from provender.online.layout import ARROW_TYPES
from provender.online.reader import Reader
from provender.online.views import load_applied_views
from provender.rollout.entities import Row, newest_entities
from provender.rollout.offline import offline_features
from provender.rollout.smoke import (
    CANDIDATES_PER_ENTITY,
    SmokeTest,
    choose_entities,
    smoke_time,
)
from provender.settings import Settings
from provender.specs.models.spec import Serving
from provender.specs.source import ColumnType, Source
from provender.storage import Storage
from provender.training_sets.keys import cadence_of
from provender.training_sets.lockfile import Lockfile

_LOCK_SECONDS = 1800.0


@contextmanager
def no_writes(storage: Storage, sources: Mapping[str, Source], owner: str) -> Iterator[None]:
    """Keeps the sources' online values as they are during the block.

    A materialization that is half done is neither what was nor what will be, and would look like a disagreement.
    Raises :class:`provender.errors.LockHeldError` after half an hour.
    """
    with ExitStack() as held:
        for name in sorted(sources):
            held.enter_context(storage.lock(f"{name}.online", owner, timeout_seconds=_LOCK_SECONDS))
        yield


def prepare(
    settings: Settings,
    storage: Storage,
    artifact: Artifact,
    serving: Serving,
    sources: Mapping[str, Source],
    key: str,
) -> SmokeTest:
    """The test for a version that was trained for ``key`` (empty: nobody said). To be called with :func:`no_writes`.

    Raises :class:`provender.errors.DeployError` if the model's features are not online, too old there, or not what
    is offline, and :class:`provender.errors.OnlineStoreError` if Redis does not answer.
    """
    features = artifact.signature.features
    lockfile = Lockfile.from_bytes(artifact.read(LOCKFILE), f"{artifact.uri}/{LOCKFILE}")
    rows = newest_entities(storage, artifact, lockfile, serving.smoke_entities * CANDIDATES_PER_ENTITY)
    views = [view.layout for view in load_applied_views(storage, settings.project)]
    with Reader(settings.redis, settings.project, views) as reader:
        online = reader.read(rows, [f"{feature.view}:{feature.feature}" for feature in features])
    at = smoke_time(_end_of(sources, key), [source.delay for source in sources.values()], online)
    offline = offline_features(settings, lockfile, _keys(lockfile, rows), at)
    offline = {feature.name: offline[feature.name] for feature in features}
    return choose_entities(artifact, serving, at, rows, online, offline)


def _keys(lockfile: Lockfile, rows: Sequence[Row]) -> pa.Table:
    """The rows' join keys as a table, in the types they have online."""
    kinds = {name: kind for log in lockfile.inputs.logs for name, kind in log.key_types.items()}
    return pa.table(
        {
            name: pa.array([row[name] for row in rows], ARROW_TYPES[ColumnType(kind)])
            for name, kind in kinds.items()
        }
    )


def _end_of(sources: Mapping[str, Source], key: str) -> datetime | None:
    return Partition.parse(cadence_of(sources.values()), key).end if key else None

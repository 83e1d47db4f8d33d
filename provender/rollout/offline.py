"""What the offline tables say of a model's features: the answer that serving has to agree with.

The look-ups are the training set's own, as its lockfile holds them, so a definition that has changed since the
model was trained shows.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from provender.errors import DeployError
from provender.ledger import Ledger
from provender.rollout.compare import Columns
from provender.settings import Settings
from provender.storage import Storage, storage_at
from provender.training_sets.join import joined
from provender.training_sets.lockfile import Lockfile


def offline_features(settings: Settings, lockfile: Lockfile, rows: pa.Table, at: datetime) -> Columns:
    """The features of ``rows`` (join keys by name) at ``at``, from what is materialized and no newer.

    Raises :class:`DeployError` where a view was never materialized, and :class:`provender.errors.TrainingSetError`
    where a table is no longer the one the model was trained on.
    """
    storage, inputs = storage_at(settings.storage_root), lockfile.inputs
    moments = pa.array([at] * rows.num_rows, pa.timestamp("us", "UTC"))
    logs = [
        replace(log, recorded_up_to=materialized_up_to(storage, log.source, log.view)) for log in inputs.logs
    ]
    now = replace(inputs, logs=tuple(logs))
    found = joined(settings, rows.append_column(inputs.event_timestamp, moments), now)
    return {name: found.column(name).to_pylist() for name in inputs.outputs}


def materialized_up_to(storage: Storage, source: str, view: str) -> datetime:
    """What ``view`` has online: the log up to here. Raises :class:`DeployError` if nothing is."""
    up_to = Ledger(storage, source).state().view_up_to(view)
    if up_to is None:
        raise DeployError(
            f"view {view} is not online: it was never materialized",
            where=f"source {source}",
            not_affected="whatever serves now",
            remedy=f"make sure that the view is applied with online=True (provender apply), then: "
            f"provender materialize {source}, and run the deployment again",
        )
    return up_to

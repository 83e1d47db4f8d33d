"""A training set for a pipeline that was started from Kubeflow's UI alone: entity rows and feature references in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provender.errors import TrainingSetError
from provender.feast.training_set import build
from provender.settings import find_repo, load_settings
from provender.specs.source import ColumnType
from provender.training_sets.request import Request


def training_set_from_feast(model: str, run_name: str, asked: Mapping[str, Any]) -> str:
    """Builds ``model``'s training set under the storage root, as Feast's definitions say. Returns its folder.

    ``asked``: ``uri`` of the entity rows (Parquet or CSV), ``features`` (``view:feature``), ``label``, ``request``
    (column name to ColumnType) and ``repo``, the feature repo; empty: the image's own. Raises
    :class:`TrainingSetError` if something is not given, and what building raises.
    """
    missing = [name for name in ("uri", "features", "label") if not asked[name]]
    if missing:
        named = {"uri": "entities_uri"}
        raise TrainingSetError(
            f"there is neither a training set nor {', '.join(named.get(name, name) for name in missing)}",
            where="the pipeline's parameters",
            not_affected="whatever serves now; nothing was trained",
            remedy="give training_set_uri, or entities_uri, features and label",
        )
    settings = load_settings(Path(asked["repo"]) if asked["repo"] else find_repo())
    request = Request(
        name=model,
        entities=asked["uri"],
        features=tuple(asked["features"]),
        label=asked["label"],
        request={name: ColumnType(kind) for name, kind in asked["request"].items()},
        is_for_training=True,
    )
    return build(settings, request, run_name).uri

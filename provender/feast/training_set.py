"""Build a training set from features by their Feast names."""

from __future__ import annotations

import logging

from provender.feast.reads import resolve_features
from provender.settings import Settings
from provender.training_sets.build import build_from, entity_rows
from provender.training_sets.folder import TrainingSet
from provender.training_sets.request import Request

logger = logging.getLogger(__name__)


def build(settings: Settings, request: Request, attempt: str) -> TrainingSet:
    """Build the training set that ``request`` asks for, or find it.

    Raises :class:`TrainingSetError` for invalid entity rows or features, :class:`SourceNotReadyError` where
    nothing was ingested, and what Spark raises where the rows come from SQL.
    """
    rows = entity_rows(settings, request, attempt)
    logger.info(f"{len(rows.table)} entity rows")
    reads = resolve_features(settings, rows, request.features, full_feature_names=request.full_feature_names)
    return build_from(settings, request, rows, reads, attempt)

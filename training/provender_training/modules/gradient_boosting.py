"""Gradient-boosted trees on histograms: takes nulls and categories as they are.

``parameters`` are those of scikit-learn's ``HistGradientBoostingClassifier`` or ``…Regressor``
(``max_iter``, ``learning_rate``, ``max_leaf_nodes``, ``l2_regularization``, …).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from provender.model_registry.artifact import Column
from provender_training.modules.columns import codes, numbers, split_by_type

_MAX_CATEGORIES = 254
"""The trees have 255 bins; one is for the rare categories together."""
_DEFAULTS = {"random_state": 0, "early_stopping": False}


def build(inputs: Sequence[Column], mode: str, parameters: Mapping[str, Any]) -> Pipeline:
    """Text as categories, everything else as numbers, then the trees."""
    text, other = split_by_type(inputs)
    trees = HistGradientBoostingClassifier if mode == "classification" else HistGradientBoostingRegressor
    prepared = ColumnTransformer(
        [("categories", codes(_MAX_CATEGORIES), text), ("numbers", numbers(), other)]
    )
    settings = {**_DEFAULTS, "categorical_features": list(range(len(text))), **parameters}
    return Pipeline([("columns", prepared), ("model", trees(**settings))])

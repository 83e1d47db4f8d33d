"""Logistic or ridge regression: a model to start with, and to beat.

``parameters`` are those of scikit-learn's ``LogisticRegression`` or ``Ridge`` (``C``, ``alpha``, …).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from provender.model_registry.artifact import Column
from provender_training.modules.columns import numbers, split_by_type

_LOGISTIC = {"max_iter": 1000, "random_state": 0}
_RIDGE = {"random_state": 0}


def build(inputs: Sequence[Column], mode: str, parameters: Mapping[str, Any]) -> Pipeline:
    """Text as one column per category, numbers scaled with a flag where they were null, then the regression."""
    text, other = split_by_type(inputs)
    scaled = Pipeline(
        [
            ("numbers", numbers()),
            ("filled", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
            ("scaled", StandardScaler()),
        ]
    )
    categories = Pipeline(
        [
            ("filled", SimpleImputer(missing_values=None, strategy="constant", fill_value="")),
            (
                "categories",
                OneHotEncoder(handle_unknown="infrequent_if_exist", dtype=np.float64, min_frequency=20),
            ),
        ]
    )
    prepared = ColumnTransformer([("categories", categories, text), ("numbers", scaled, other)])
    if mode == "classification":
        return Pipeline([("columns", prepared), ("model", LogisticRegression(**{**_LOGISTIC, **parameters}))])
    return Pipeline([("columns", prepared), ("model", Ridge(**{**_RIDGE, **parameters}))])

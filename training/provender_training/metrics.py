"""What is measured on the held-out rows. Names are scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn import metrics

from provender_training.fit import CLASSIFICATION, Numbers

THRESHOLD = 0.5
_CURVE_POINTS = 200
Metrics = dict[str, float | None]
"""Metric name to value; None where it is not defined on these rows (one class only)."""


def measure(mode: str, actual: Numbers, predicted: Numbers) -> Metrics:
    """All metrics of the mode.

    classification  roc_auc, average_precision, log_loss, brier, accuracy, precision, recall, f1 (the last four at
                    0.5), positive_share, mean_prediction
    regression      mae, rmse, median_absolute_error, r2, bias (mean of predicted − actual)
    """
    found = _classification(actual, predicted) if mode == CLASSIFICATION else _regression(actual, predicted)
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def confusion(actual: Numbers, predicted: Numbers) -> list[list[int]]:
    """Rows: actual class; columns: predicted class at :data:`THRESHOLD`."""
    matrix = metrics.confusion_matrix(actual, predicted >= THRESHOLD, labels=[0, 1])
    found: list[list[int]] = matrix.tolist()
    return found


def roc(actual: Numbers, predicted: Numbers) -> dict[str, list[float]]:
    """``fpr``, ``tpr`` and ``thresholds`` (falling, 1 at most), 200 points at most. Empty with one class only."""
    if len(np.unique(actual)) < 2:
        return {"fpr": [], "tpr": [], "thresholds": []}
    fpr, tpr, thresholds = metrics.roc_curve(actual, predicted)
    kept = np.unique(np.linspace(0, len(fpr) - 1, _CURVE_POINTS).round().astype(int))
    found = {"fpr": fpr[kept], "tpr": tpr[kept], "thresholds": np.minimum(thresholds[kept], 1.0)}
    return {name: values.tolist() for name, values in found.items()}


def _classification(actual: Numbers, predicted: Numbers) -> dict[str, float]:
    said: Any = predicted >= THRESHOLD
    both = len(np.unique(actual)) == 2
    return {
        "roc_auc": metrics.roc_auc_score(actual, predicted) if both else math.nan,
        "average_precision": metrics.average_precision_score(actual, predicted) if both else math.nan,
        "log_loss": metrics.log_loss(actual, predicted, labels=[0, 1]),
        "brier": metrics.brier_score_loss(actual, predicted),
        "accuracy": metrics.accuracy_score(actual, said),
        "precision": metrics.precision_score(actual, said, zero_division=0),
        "recall": metrics.recall_score(actual, said, zero_division=0),
        "f1": metrics.f1_score(actual, said, zero_division=0),
        "positive_share": float(actual.mean()),
        "mean_prediction": float(predicted.mean()),
    }


def _regression(actual: Numbers, predicted: Numbers) -> dict[str, float]:
    return {
        "mae": metrics.mean_absolute_error(actual, predicted),
        "rmse": metrics.root_mean_squared_error(actual, predicted),
        "median_absolute_error": metrics.median_absolute_error(actual, predicted),
        "r2": metrics.r2_score(actual, predicted) if len(actual) > 1 else math.nan,
        "bias": float((predicted - actual).mean()),
    }

"""The train step's work: estimators fitted on the training part, the same rows to the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from provender.errors import SpecError, TrainingSetError
from provender.intervals import iso
from provender.model_registry.artifact import Column
from provender.model_registry.inputs import model_input
from provender_training.data import Rows
from provender_training.modules import build

Numbers = npt.NDArray[np.float64]
CLASSIFICATION, REGRESSION = "classification", "regression"


@dataclass(frozen=True)
class Recipe:
    """How a model is fitted: ``training`` of its spec."""

    module: str
    mode: str
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.mode not in (CLASSIFICATION, REGRESSION):
            raise SpecError(
                f"there is no mode {self.mode!r}",
                where="mode of the pipeline's parameters",
                remedy=f"write {CLASSIFICATION} or {REGRESSION}",
            )

    @property
    def is_classification(self) -> bool:
        return self.mode == CLASSIFICATION


def fit(recipe: Recipe, inputs: Sequence[Column], rows: Rows, target: Numbers) -> Any:
    """The fitted estimator. Raises :class:`SpecError` if the module, its parameters or the data do not fit, and
    :class:`TrainingSetError` where that may be because an input is null in every row.

    One thread: sums in another order are other numbers, and then another model.
    """
    names = [column.name for column in inputs]
    estimator = build(recipe.module, inputs, recipe.mode, recipe.parameters)
    with threadpool_limits(1):
        try:
            estimator.fit(model_input(rows.columns(names), names), target)
        except (TypeError, ValueError) as error:
            empty = null_columns(rows, names)
            if empty:
                raise _nothing_to_learn(recipe, rows, empty, error) from error
            raise SpecError(
                f"{recipe.module} cannot be fitted: {error}",
                where="training of the model's spec",
                not_affected="whatever serves now; nothing was written",
                remedy="fix training.parameters or the module; columns: " + ", ".join(names),
            ) from error
    return estimator


def null_columns(rows: Rows, names: Sequence[str]) -> list[str]:
    """Those of the columns ``names`` that are null or NaN in every one of ``rows``."""
    return [name for name in names if _is_null(rows.table.column(name))]


def _is_null(column: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.is_null(column, nan_is_null=True)).as_py())


def _nothing_to_learn(recipe: Recipe, rows: Rows, empty: Sequence[str], error: Exception) -> TrainingSetError:
    several = len(empty) > 1
    return TrainingSetError(
        f"{', '.join(empty)} {'are' if several else 'is'} null in every one of the {len(rows)} training rows, and "
        f"{recipe.module} cannot be fitted to that",
        where=f"training rows to {iso(rows.times[-1])}; the module said: {error}",
        not_affected="whatever serves now; nothing was written",
        remedy="leave it out of the model's features, or find out why it is null: the training set's report shows the "
        "nulls of every feature and the ttl of its view",
    )


def predict(
    mode: str, estimator: Any, columns: Mapping[str, Sequence[Any]], inputs: Sequence[str]
) -> Numbers:
    """A prediction for each row: the probability of the second class, or the value."""
    matrix = model_input(columns, inputs)
    found = estimator.predict_proba(matrix)[:, 1] if mode == CLASSIFICATION else estimator.predict(matrix)
    return np.asarray(found, dtype=np.float64)


def classes_of(mode: str, rows: Rows) -> list[Any]:
    """Both labels of a classification, in order; empty for a regression. Raises :class:`TrainingSetError`."""
    if mode == REGRESSION:
        return []
    found: list[Any] = np.unique(rows.labels).tolist()
    if len(found) != 2:
        shown = ", ".join(repr(each) for each in found[:5])
        raise TrainingSetError(
            f"a classification has two classes, the training rows have {len(found)}: {shown}",
            where=f"label {rows.label}, {len(rows)} training rows",
            not_affected="whatever serves now; nothing was trained",
            remedy="take a longer window, or mode: regression for a number",
        )
    return found


def target_of(mode: str, rows: Rows, classes: Sequence[Any]) -> Numbers:
    """The labels as numbers: 0 for the first class and 1 for the second, or the value itself."""
    if mode == REGRESSION:
        return _as_numbers(rows)
    unknown = sorted({str(each) for each in np.unique(rows.labels).tolist() if each not in classes})
    if unknown:
        raise TrainingSetError(
            f"the held-out rows have a class that the training rows have not: {', '.join(unknown[:5])}",
            where=f"label {rows.label}",
            remedy="take a longer window",
        )
    return np.asarray(rows.labels == classes[1], dtype=np.float64)


def _as_numbers(rows: Rows) -> Numbers:
    try:
        numbers: Numbers = rows.labels.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TrainingSetError(
            f"a regression needs a number as label: {error}",
            where=f"label {rows.label}",
            remedy="write mode: classification for two classes",
        ) from error
    return numbers

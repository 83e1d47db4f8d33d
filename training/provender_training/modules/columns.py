"""How columns of each type are made into numbers. Only scikit-learn's classes and functions, see the package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from sklearn.utils.validation import check_array

from provender.errors import SpecError
from provender.model_registry.artifact import Column

TEXT = "STRING"
_NO_INPUT = "BYTES"


def split_by_type(inputs: Sequence[Column]) -> tuple[list[int], list[int]]:
    """Places of the text columns, and of all others. Raises :class:`SpecError` for bytes."""
    for column in inputs:
        if column.type == _NO_INPUT:
            raise SpecError(
                f"{column.name} is of type BYTES, which no model here can take",
                where="features and request of the model's spec",
                remedy="leave it out, or make numbers or text of it in the feature's SQL",
            )
    text = [place for place, column in enumerate(inputs) if column.type == TEXT]
    return text, [place for place in range(len(inputs)) if place not in text]


def numbers() -> FunctionTransformer:
    """Objects to 64-bit floats; None becomes NaN."""
    return FunctionTransformer(check_array, kw_args={"dtype": "float64", "ensure_all_finite": "allow-nan"})


def codes(max_categories: int) -> OrdinalEncoder:
    """Text to category numbers, the rare ones together; None, and text that training had not, become NaN."""
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=max_categories,
    )

"""The evaluate step's work: candidate, baselines and serving model on the same held-out rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from provender.errors import ArtifactError
from provender.intervals import parse_iso
from provender.model_registry.artifact import EVALUATION_FILE, MODEL_FILE, Signature, read_artifact
from provender_training import canonical
from provender_training.data import Rows
from provender_training.fit import CLASSIFICATION, Numbers, predict
from provender_training.metrics import THRESHOLD, Metrics, confusion, measure, roc

FORMAT = 1
_EXAMPLES = 20


@dataclass(frozen=True)
class Evaluation:
    """What the held-out rows say about a model. ``document`` is ``evaluation.json``."""

    signature: Signature
    classes: list[Any]
    actual: Numbers
    predicted: Numbers
    metrics: Metrics
    baselines: dict[str, Metrics]
    """``constant``: the training part's share or mean. ``request_only``: the same module without features."""
    train: dict[str, Any]
    test: dict[str, Any]

    @property
    def is_classification(self) -> bool:
        return self.signature.mode == CLASSIFICATION

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "format": FORMAT,
            "mode": self.signature.mode,
            "classes": self.classes,
            "train": self.train,
            "test": self.test,
            "metrics": self.metrics,
            "baselines": self.baselines,
        }
        if self.is_classification:
            counts = confusion(self.actual, self.predicted)
            found["confusion_matrix"] = {"threshold": THRESHOLD, "actual_by_predicted": counts}
            found["roc_curve"] = roc(self.actual, self.predicted)
        return found


def evaluate(
    signature: Signature,
    model: Any,
    request_only: Any | None,
    classes: list[Any],
    rows: tuple[Rows, Rows],
    targets: tuple[Numbers, Numbers],
) -> Evaluation:
    """``rows`` and ``targets``: training part, then test part."""
    (train, test), (learnt, actual) = rows, targets
    mode = signature.mode
    predicted = predict(mode, model, test.columns(signature.inputs), signature.inputs)
    baselines = {"constant": measure(mode, actual, np.full(len(actual), learnt.mean()))}
    if request_only is not None:
        names = [column.name for column in signature.request]
        baselines["request_only"] = measure(
            mode, actual, predict(mode, request_only, test.columns(names), names)
        )
    return Evaluation(
        signature,
        classes,
        actual,
        predicted,
        measure(mode, actual, predicted),
        baselines,
        train.span(),
        test.span(),
    )


def serving_score(uri: str, test: Rows, actual: Numbers, mode: str) -> dict[str, Any]:
    """The serving model on the held-out rows.

    ``version``; ``metrics``, empty with a ``problem`` if it cannot take these rows; ``seen_test_rows``: how many of
    them lie in the time it was trained on. Raises :class:`ArtifactError` if ``uri`` is no whole artifact.
    """
    artifact = read_artifact(uri)
    signed = artifact.signature
    lacking = [name for name in signed.inputs if name not in test.table.column_names]
    if lacking or signed.mode != mode:
        problem = f"it needs {', '.join(lacking)}" if lacking else f"its mode is {signed.mode}"
        return {"version": artifact.version, "metrics": {}, "seen_test_rows": 0, "problem": problem}
    model = canonical.load(artifact.read(MODEL_FILE))
    predicted = predict(mode, model, test.columns(signed.inputs), signed.inputs)
    seen = _seen(artifact.read(EVALUATION_FILE), test) if EVALUATION_FILE in artifact.files else 0
    return {"version": artifact.version, "metrics": measure(mode, actual, predicted), "seen_test_rows": seen}


def examples(evaluation: Evaluation, test: Rows) -> dict[str, Any]:
    """``examples.json``: rows spread over the test part, their inputs as JSON and the predictions made for them."""
    places = np.unique(np.linspace(0, len(test) - 1, _EXAMPLES).round().astype(int)).tolist()
    columns = test.columns(evaluation.signature.inputs)
    rows = [
        {
            "inputs": {name: _plain(values[place]) for name, values in columns.items()},
            "prediction": float(evaluation.predicted[place]),
        }
        for place in places
    ]
    return {"format": FORMAT, "rows": rows}


def _seen(data: bytes, test: Rows) -> int:
    try:
        trained = json.loads(data)["train"]
        start, end = parse_iso(trained["from"]), parse_iso(trained["to"])
    except (ValueError, KeyError) as error:
        raise ArtifactError(
            f"{EVALUATION_FILE} does not say what time the model was trained on: {error}"
        ) from error
    return sum(start <= time <= end for time in test.times)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and np.isnan(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def for_people(metrics: Mapping[str, float | None]) -> dict[str, str]:
    """Four significant digits."""
    return {name: "" if value is None else f"{value:.4g}" for name, value in metrics.items()}

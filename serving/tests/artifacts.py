"""Small real artifacts: a pipeline trained on generated flights, in the format that training writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from provender.model_registry.artifact import (
    ARTIFACT_FILE,
    Column,
    FeatureInput,
    Output,
    Signature,
    artifact_document,
)

DAY = 86_400.0
CARRIERS = ("AA", "DL", "UA")
SIGNATURE = Signature(
    model="late",
    mode="classification",
    label="is_late",
    entities=(Column("carrier", "STRING"), Column("origin", "STRING")),
    request=(Column("carrier", "STRING"), Column("hour", "INT32")),
    features=(
        FeatureInput("carrier_day__mean_delay", "carrier_day", "mean_delay", "DOUBLE", ("carrier",), 7 * DAY),
        FeatureInput("carrier_day__flights", "carrier_day", "flights", "INT64", ("carrier",), 7 * DAY),
        FeatureInput("weather__wind", "weather", "wind", "FLOAT", ("origin",), 0),
    ),
    inputs=("carrier", "hour", "carrier_day__mean_delay", "carrier_day__flights", "weather__wind"),
    output=(Output("probability", "DOUBLE", "of leaving late"),),
    as_known=True,
)


def fit(seed: int = 0, rows: int = 400) -> Any:
    """A pipeline on generated rows: late when the carrier was late, and by the hour."""
    chance = np.random.default_rng(seed)
    table = np.empty((rows, 5), dtype=object)
    table[:, 0] = chance.choice(CARRIERS, rows).tolist()
    table[:, 1] = chance.integers(0, 24, rows).tolist()
    table[:, 2] = chance.normal(10, 20, rows).tolist()
    table[:, 3] = chance.integers(1, 500, rows).tolist()
    table[:, 4] = chance.gamma(2, 5, rows).tolist()
    table[::11, 2] = None
    table[::13, 4] = None
    delay = np.where(table[:, 2] == None, 10, table[:, 2]).astype(float)  # noqa: E711
    label = (delay + table[:, 1].astype(float) + chance.normal(0, 5, rows) > 22).astype(int)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = ColumnTransformer([("text", encoder, [0])], remainder="passthrough")
    model = HistGradientBoostingClassifier(max_iter=20, random_state=seed, categorical_features=[0])
    return Pipeline([("columns", columns), ("model", model)]).fit(table, label)


def golden_rows(pipeline: Any, signature: Signature = SIGNATURE) -> list[dict[str, Any]]:
    """Rows with all inputs and the predictions of ``pipeline``."""
    rows = [
        {"carrier": c, "hour": h, "carrier_day__mean_delay": d, "carrier_day__flights": n, "weather__wind": w}
        for c, h, d, n, w in [
            ("AA", 7, 3.5, 10, 2.0),
            ("ZZ", 23, None, 400, 31.25),
            (None, 0, -4.0, None, None),
        ]
    ]
    table = np.array([[row[name] for name in signature.inputs] for row in rows], dtype=object)
    found = pipeline.predict_proba(table)[:, 1]
    return [{"inputs": row, "prediction": float(p)} for row, p in zip(rows, found, strict=True)]


def write_artifact(
    folder: Path,
    *,
    seed: int = 0,
    model_file: bytes | None = None,
    signature: Signature = SIGNATURE,
    shift: float = 0.0,
    signature_file: bytes | None = None,
    examples: list[dict[str, Any]] | None = None,
) -> str:
    """Writes an artifact below ``folder`` and gives its URI.

    ``model_file``, ``signature_file`` and ``examples`` replace what would be written; ``shift`` makes the golden
    rows' predictions wrong.
    """
    pipeline = fit(seed)
    examples = golden_rows(pipeline, signature) if examples is None else examples
    for example in examples:
        example["prediction"] += shift
    files: Mapping[str, bytes] = {
        "model.skops": skops.io.dumps(pipeline) if model_file is None else model_file,
        "signature.json": signature_file or json.dumps(signature.to_document()).encode(),
        "lockfile.json": json.dumps({"id": "0" * 16}).encode(),
        "metrics.json": b'{"roc_auc": 0.9}',
        "examples.json": json.dumps({"format": 1, "rows": examples}).encode(),
    }
    document = artifact_document(signature.model, "0" * 16, files, datetime(2026, 11, 24, tzinfo=UTC))
    target = folder / str(document["version"])
    target.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (target / name).write_bytes(data)
    (target / ARTIFACT_FILE).write_text(json.dumps(document))
    return target.as_uri()


if __name__ == "__main__":  # for tests of an environment without scikit-learn: FOLDER SEED [SHIFT]
    print(write_artifact(Path(sys.argv[1]), seed=int(sys.argv[2]), shift=float((sys.argv[3:] or ["0"])[0])))

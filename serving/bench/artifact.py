"""Writes an artifact for the benchmark: ``python -m bench.artifact FOLDER SEED VIEWS`` prints its URI.

``VIEWS`` is JSON, ``{view: {"join_keys": [...], "features": [...]}}``, keys STRING and features DOUBLE; ``{}`` makes a
model that takes nothing but the request.
"""

from __future__ import annotations

import json
import sys
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
from provender.model_registry.inputs import model_input

REQUEST = (Column("carrier", "STRING"), Column("hour", "INT32"), Column("distance", "INT32"))
_ROWS = 5000


def signature_of(views: dict[str, Any]) -> Signature:
    """A classification on the request's columns and every feature of ``views``."""
    keys = dict.fromkeys(key for view in views.values() for key in view["join_keys"])
    features = tuple(
        FeatureInput(f"{name}__{feature}", name, feature, "DOUBLE", tuple(view["join_keys"]), 0)
        for name, view in views.items()
        for feature in view["features"]
    )
    return Signature(
        model="bench",
        mode="classification",
        label="late",
        entities=tuple(Column(key, "STRING") for key in keys),
        request=REQUEST,
        features=features,
        inputs=(*(column.name for column in REQUEST), *(feature.name for feature in features)),
        output=(Output("probability", "DOUBLE"),),
        as_known=True,
    )


def fit(signature: Signature, seed: int) -> tuple[Pipeline, dict[str, list[Any]]]:
    """A pipeline of a hundred trees, and the columns it was fitted on."""
    chance = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {
        "carrier": chance.choice([f"c{n}" for n in range(16)], _ROWS).tolist(),
        "hour": chance.integers(0, 24, _ROWS).tolist(),
        "distance": chance.integers(100, 3000, _ROWS).tolist(),
    }
    columns |= {feature.name: chance.normal(0, 10, _ROWS).tolist() for feature in signature.features}
    signal = np.array(columns["hour"]) + sum(np.array(columns[f.name]) for f in signature.features[:3])
    label = (signal + chance.normal(0, 10, _ROWS) > 12).astype(int)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    prepare = ColumnTransformer([("text", encoder, [0])], remainder="passthrough")
    model = HistGradientBoostingClassifier(random_state=seed, categorical_features=[0])
    pipeline = Pipeline([("prepare", prepare), ("model", model)])
    return pipeline.fit(model_input(columns, signature.inputs), label), columns


def write(folder: Path, seed: int, views: dict[str, Any]) -> str:
    """The artifact's URI."""
    signature = signature_of(views)
    pipeline, columns = fit(signature, seed)
    few = {name: column[:5] for name, column in columns.items()}
    found = pipeline.predict_proba(model_input(few, signature.inputs))[:, 1]
    rows = [
        {"inputs": {name: few[name][row] for name in signature.inputs}, "prediction": float(found[row])}
        for row in range(5)
    ]
    files = {
        "model.skops": skops.io.dumps(pipeline),
        "signature.json": json.dumps(signature.to_document()).encode(),
        "lockfile.json": b"{}",
        "metrics.json": b"{}",
        "examples.json": json.dumps({"format": 1, "rows": rows}).encode(),
    }
    document = artifact_document("bench", "0" * 16, files, datetime.now(UTC))
    target = folder / str(document["version"])
    target.mkdir(parents=True)
    for name, data in files.items():
        (target / name).write_bytes(data)
    (target / ARTIFACT_FILE).write_text(json.dumps(document))
    return target.as_uri()


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])))

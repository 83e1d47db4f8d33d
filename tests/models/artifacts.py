"""Small artifacts for tests, written as training writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from provender.model_registry.artifact import (
    ARTIFACT_FILE,
    Column,
    Example,
    FeatureInput,
    Output,
    Signature,
    artifact_document,
)
from provender.storage import Storage
from provender.training_sets.lockfile import Lockfile

CREATED = datetime(2026, 3, 10, 6, tzinfo=UTC)


def signature(model: str = "late", **changes: Any) -> Signature:
    """A classifier with one join key, one request column that is no key, and one feature with a week's ttl."""
    given = {
        "model": model,
        "mode": "classification",
        "label": "is_late",
        "entities": (Column("carrier", "STRING"),),
        "request": (Column("hour", "INT32"),),
        "features": (
            FeatureInput("carrier_day__delay", "carrier_day", "delay", "DOUBLE", ("carrier",), 604800.0),
        ),
        "inputs": ("hour", "carrier_day__delay"),
        "output": (Output("is_late", "DOUBLE", "probability"),),
        "as_known": True,
    }
    return Signature(**{**given, **changes})


def write_artifact(
    storage: Storage,
    *,
    signed: Signature | None = None,
    model: bytes = b"a model",
    metrics: Mapping[str, float] | None = None,
    examples: tuple[Example, ...] = (),
    training_set: str = "0123456789abcdef",
    created: datetime = CREATED,
    lockfile: Lockfile | None = None,
) -> str:
    """Writes ``models/<model>/versions/<version>``. Returns the version."""
    signed = signed or signature()
    training_set = lockfile.id if lockfile else training_set
    documents = {
        "signature.json": signed.to_document(),
        "lockfile.json": {"format": 1, "id": training_set},
        "metrics.json": dict(metrics or {"roc_auc": 0.7}),
        "examples.json": {
            "format": 1,
            "rows": [{"inputs": dict(row.inputs), "prediction": row.prediction} for row in examples],
        },
    }
    files = {name: json.dumps(document).encode() for name, document in documents.items()}
    files["model.skops"] = model
    if lockfile is not None:
        files["lockfile.json"] = lockfile.to_bytes()
    document = artifact_document(signed.model, training_set, files, created)
    folder = f"models/{signed.model}/versions/{document['version']}"
    for name, data in (*files.items(), (ARTIFACT_FILE, json.dumps(document).encode())):
        with storage.writing(f"{folder}/{name}") as file:
            file.write(data)
    return str(document["version"])

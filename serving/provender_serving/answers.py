"""An answer in the words of V1."""

from __future__ import annotations

from typing import Any

from provender.online.decode import moment
from provender_serving.batches import Answer
from provender_serving.lookup import Column
from provender_serving.values import to_json


def v1_document(answer: Answer, return_features: bool) -> dict[str, Any]:
    """The body of a V1 response."""
    document: dict[str, Any] = {"predictions": answer.predictions, "model_version": answer.version}
    if return_features:
        document["features"] = features_of(answer)
    return document


def features_of(answer: Answer) -> list[dict[str, dict[str, Any]]]:
    """For each instance: feature name to value, status and times (ISO 8601; null where there are none)."""
    return [
        {name: _feature(column, answer.first + row) for name, column in answer.resolved.columns.items()}
        for row in range(len(answer.predictions))
    ]


def _feature(column: Column, row: int) -> dict[str, Any]:
    status = column.statuses[row]
    looked_up = column.times is not None and status.value != "given"
    return {
        "value": to_json(column.values[row]),
        "status": status.value,
        "event_timestamp": _iso(column.times.event[row]) if looked_up and column.times else None,
        "created_timestamp": _iso(column.times.created[row]) if looked_up and column.times else None,
    }


def _iso(micros: int | None) -> str | None:
    found = moment(micros)
    return None if found is None else found.isoformat()

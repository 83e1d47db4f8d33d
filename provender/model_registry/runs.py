"""What a training run ended in, as it stands beside the model's versions.

    models/<model>/runs/<run name>.json           the result, written last:
        format, run_name, model, version, artifact (URI of its folder), training_set (its URI), lockfile_id,
        train, test          each ``rows``, and the first and last event timestamp as ``from`` and ``to``
        rows_without_label   left out
        metrics              name to number on the test rows, or null
        baselines            ``constant``, ``request_only``: the same metrics
        baseline             the serving model on these rows: ``version``, ``metrics``, ``seen_test_rows``,
                             and ``problem`` where it cannot take them; null if none served
    models/<model>/failures/<run name>.json      or why it failed: see :mod:`provender.failures`

The steps of a pipeline write them, wherever these run; whoever started the run reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from provender.storage import Storage, read_document, storage_at

FORMAT = 1


def write_result(output_uri: str, run_name: str, document: Mapping[str, Any]) -> None:
    """A second run of a name did the same work: the last one stands."""
    _write(output_uri, _result(run_name), {"format": FORMAT, "run_name": run_name, **document})


def read_result(output_uri: str, run_name: str) -> dict[str, Any] | None:
    """None: the run has not ended well."""
    return _read(storage_at(output_uri), _result(run_name))


def _result(run_name: str) -> str:
    return f"runs/{run_name}.json"


def _read(storage: Storage, path: str) -> dict[str, Any] | None:
    try:
        remedy = f"remove {storage.uri(path)}, then train again"
        return read_document(storage, path, dict, what="the result of a training run", remedy=remedy)
    except FileNotFoundError:
        return None


def _write(output_uri: str, path: str, document: Mapping[str, Any]) -> None:
    with storage_at(output_uri).writing(path) as file:
        file.write(json.dumps(document, indent=1, allow_nan=False).encode() + b"\n")

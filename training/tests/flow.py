"""The pipeline's steps without Kubeflow around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import planted
import pyarrow as pa
from provender_training import steps
from provender_training.fit import Recipe
from provender_training.loading import load
from provender_training.workspace import Workspace

from provender.model_registry.runs import read_result

GRADIENT_BOOSTING = "provender_training.modules.gradient_boosting"
LINEAR = "provender_training.modules.linear"


def trained(
    root: Path,
    table: pa.Table,
    *,
    run: str = "run",
    module: str = GRADIENT_BOOSTING,
    mode: str = "classification",
    parameters: dict[str, Any] | None = None,
    baseline: str = "",
    **lockfile: Any,
) -> dict[str, Any]:
    """Writes the training set and takes it through all three steps. Returns the result document."""
    folder = planted.write(root.as_uri(), table, **lockfile)
    return from_folder(root, folder, run, Recipe(module, mode, parameters or {"max_iter": 30}), baseline)


def from_folder(root: Path, folder: str, run: str, recipe: Recipe, baseline: str = "") -> dict[str, Any]:
    """All three steps for a training set that is there."""
    output, workspace = f"{root.as_uri()}/models/late", Workspace.of_run(str(root / "work"), run)
    load(workspace, output, folder, "", 0.2)
    steps.train(workspace, "late", recipe)
    steps.evaluate_and_write(workspace, output, baseline)
    result = read_result(output, run)
    assert result is not None
    return result

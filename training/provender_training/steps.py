"""Two steps of the pipeline: train fits, evaluate measures and writes the artifact (:mod:`.loading` has the first).

What one leaves for the next lies in the run's :class:`~provender_training.workspace.Workspace`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from provender.model_registry import artifact
from provender.model_registry.artifact import Artifact, Signature
from provender.model_registry.runs import write_result
from provender_training import canonical
from provender_training.card import model_card, report
from provender_training.evaluation import Evaluation, evaluate, examples, serving_score
from provender_training.fit import Recipe, classes_of, fit, null_columns, target_of
from provender_training.plots import pictures
from provender_training.publish import write_artifact
from provender_training.signing import input_columns, signature_of
from provender_training.workspace import Workspace

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Evaluated:
    """What the evaluate step ended in."""

    artifact: Artifact
    evaluation: Evaluation
    report: str
    """HTML."""
    card: str
    """Markdown."""


def train(workspace: Workspace, model: str, recipe: Recipe) -> Signature:
    """Fits the model and, to compare with, the same module on the request columns alone."""
    rows, locked = workspace.rows("train"), workspace.lockfile().inputs
    classes = classes_of(recipe.mode, rows)
    signature = signature_of(model, recipe.mode, locked, classes)
    target = target_of(recipe.mode, rows, classes)
    workspace.write("model.skops", canonical.dump(fit(recipe, input_columns(signature), rows, target)))
    if signature.request and signature.features:
        baseline = fit(recipe, signature.request, rows, target)
        workspace.write("request_only.skops", canonical.dump(baseline))
    workspace.write("signature.json", _json(signature.to_document()))
    workspace.write_json("train.json", {"classes": classes, "recipe": asdict(recipe)})
    return signature


def evaluate_and_write(workspace: Workspace, output_uri: str, baseline_uri: str) -> Evaluated:
    """Measures on the held-out rows, writes the artifact and last the run's result; clears the workspace."""
    recipe = Recipe(**workspace.read_json("train.json")["recipe"])
    evaluation = _evaluation(workspace)
    test = workspace.rows("test")
    null_inputs = null_columns(workspace.rows("train"), evaluation.signature.inputs)
    loaded = workspace.read_json("load.json")
    drawn = pictures(evaluation)
    page = report(evaluation, drawn)
    card = model_card(evaluation, recipe, loaded["lockfile_id"])
    files = {
        artifact.MODEL_FILE: workspace.read("model.skops"),
        artifact.SIGNATURE_FILE: workspace.read("signature.json"),
        artifact.LOCKFILE: workspace.read("lockfile.json"),
        artifact.METRICS_FILE: _json(evaluation.metrics),
        artifact.EXAMPLES_FILE: _json(examples(evaluation, test)),
        artifact.EVALUATION_FILE: _json(evaluation.document()),
        artifact.CARD_FILE: card.encode(),
        REPORT_FILE: page.encode(),
        **drawn,
    }
    written = write_artifact(output_uri, evaluation.signature.model, loaded["lockfile_id"], files)
    serving = serving_score(baseline_uri, test, evaluation.actual, recipe.mode) if baseline_uri else None
    result = {**_result(written, evaluation, loaded, serving), "null_inputs": null_inputs}
    write_result(output_uri, workspace.folder.name, result)
    workspace.clear()
    return Evaluated(written, evaluation, page, card)


def _evaluation(workspace: Workspace) -> Evaluation:
    signature = Signature.from_document(workspace.read_json("signature.json"))
    classes = workspace.read_json("train.json")["classes"]
    rows = (workspace.rows("train"), workspace.rows("test"))
    targets = (target_of(signature.mode, rows[0], classes), target_of(signature.mode, rows[1], classes))
    baseline = (
        canonical.load(workspace.read("request_only.skops")) if workspace.has("request_only.skops") else None
    )
    # The model as serving will load it, not as it was fitted.
    return evaluate(
        signature, canonical.load(workspace.read("model.skops")), baseline, classes, rows, targets
    )


def _result(
    written: Artifact, evaluation: Evaluation, loaded: Mapping[str, Any], serving: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "model": written.model,
        "version": written.version,
        "artifact": written.uri,
        "training_set": loaded["training_set"],
        "lockfile_id": loaded["lockfile_id"],
        "train": evaluation.train,
        "test": evaluation.test,
        "rows_without_label": loaded["rows_without_label"],
        "metrics": evaluation.metrics,
        "baselines": evaluation.baselines,
        "baseline": serving,
    }


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"

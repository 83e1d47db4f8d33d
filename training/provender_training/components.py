"""What the pipeline's components call: a step, its errors reported, its results as Kubeflow's artifacts.

Each is a process of its own, so what takes seconds to import is imported by those that need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provender_training.failures import reported
from provender_training.loading import load, use_service_account
from provender_training.workspace import Workspace

if TYPE_CHECKING:
    from provender_training.evaluation import Evaluation


def load_step(
    workspace: str,
    run_name: str,
    model: str,
    output_uri: str,
    training_set_uri: str,
    lockfile_uri: str,
    test_share: float,
    asked: Mapping[str, Any],
) -> str:
    """See ``load`` in ``training/pipeline.py``."""
    with reported("load", output_uri, run_name):
        use_service_account()
        folder = training_set_uri or _from_feast(model, run_name, asked)
        found = load(Workspace.of_run(workspace, run_name), output_uri, folder, lockfile_uri, test_share)
        for part in ("train", "test"):
            print(f"{part}: {found[part]['rows']} rows, {found[part]['from']} to {found[part]['to']}")
        print(f"rows without a label: {found['rows_without_label']}")
    return folder


def train_step(
    workspace: str,
    run_name: str,
    model: str,
    output_uri: str,
    mode: str,
    module: str,
    parameters: Mapping[str, Any],
) -> str:
    """See ``train`` in ``training/pipeline.py``."""
    with reported("train", output_uri, run_name):
        from provender_training import steps
        from provender_training.fit import Recipe

        recipe = Recipe(module, mode, _whole_numbers(parameters))
        signature = steps.train(Workspace.of_run(workspace, run_name), model, recipe)
        print(f"fitted {module} on {', '.join(signature.inputs)}")
    return signature.output[0].description


def evaluate_step(
    workspace: str,
    run_name: str,
    output_uri: str,
    baseline_uri: str,
    metrics: Any,
    classification: Any,
    report: Any,
    model_card: Any,
) -> str:
    """See ``evaluate`` in ``training/pipeline.py``; the last four are Kubeflow's output artifacts."""
    with reported("evaluate", output_uri, run_name):
        from provender_training import steps

        use_service_account()
        done = steps.evaluate_and_write(Workspace.of_run(workspace, run_name), output_uri, baseline_uri)
        _log_metrics(metrics, done.evaluation)
        if done.evaluation.is_classification:
            _log_classification(classification, done.evaluation)
        _write(report.path, done.report)
        _write(model_card.path, done.card)
        print(f"wrote version {done.artifact.version}: {done.evaluation.metrics}")
    return done.artifact.uri


def _from_feast(model: str, run_name: str, asked: Mapping[str, Any]) -> str:
    from provender_training.from_feast import training_set_from_feast

    return training_set_from_feast(model, run_name, asked)


def _log_metrics(metrics: Any, evaluation: Evaluation) -> None:
    named = {"": evaluation.metrics, **{f"{name}_": found for name, found in evaluation.baselines.items()}}
    for prefix, found in named.items():
        for name, value in found.items():
            if value is not None:
                metrics.log_metric(f"{prefix}{name}", value)


def _log_classification(classification: Any, evaluation: Evaluation) -> None:
    document = evaluation.document()
    names = [str(each) for each in evaluation.classes]
    classification.log_confusion_matrix(names, document["confusion_matrix"]["actual_by_predicted"])
    curve = document["roc_curve"]
    if curve["fpr"]:
        classification.log_roc_curve(curve["fpr"], curve["tpr"], curve["thresholds"])


def _write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def _whole_numbers(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Kubeflow passes every number as a float, and scikit-learn wants ``max_iter=100``, not ``100.0``."""
    return {name: _whole(value) for name, value in parameters.items()}


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return _whole_numbers(value) if isinstance(value, dict) else value

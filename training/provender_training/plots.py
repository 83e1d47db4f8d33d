"""Pictures of an evaluation, as PNG: the same evaluation, the same bytes."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from provender_training.evaluation import Evaluation

_DPI = 100
_POINTS = 2000


def pictures(evaluation: Evaluation) -> dict[str, bytes]:
    """File name to PNG: ``confusion_matrix.png`` and ``roc_curve.png``, or ``predicted_and_actual.png``."""
    if not evaluation.is_classification:
        return {"predicted_and_actual.png": _png(_scatter(evaluation))}
    return {"confusion_matrix.png": _png(_confusion(evaluation)), "roc_curve.png": _png(_roc(evaluation))}


def _confusion(evaluation: Evaluation) -> Figure:
    matrix = evaluation.document()["confusion_matrix"]
    counts = matrix["actual_by_predicted"]
    names = [str(each) for each in evaluation.classes]
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    for row in range(2):
        for column in range(2):
            share = counts[row][column] / max(1, sum(map(sum, counts)))
            text = f"{counts[row][column]:,}\n{share:.1%}"
            axes.text(
                column, row, text, ha="center", va="center", color="black", bbox={"fc": "white", "alpha": 0.7}
            )
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names)
    axes.set_xlabel(f"predicted (at {matrix['threshold']})")
    axes.set_ylabel(f"actual {evaluation.signature.label}")
    axes.set_title(f"Confusion matrix, {len(evaluation.actual):,} held-out rows")
    return figure


def _roc(evaluation: Evaluation) -> Figure:
    curve = evaluation.document()["roc_curve"]
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    area = evaluation.metrics["roc_auc"]
    axes.plot(curve["fpr"], curve["tpr"], label="model" if area is None else f"model, area {area:.3f}")
    axes.plot([0, 1], [0, 1], linestyle="--", color="gray", label="chance")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_title(f"ROC curve, {len(evaluation.actual):,} held-out rows")
    axes.legend(loc="lower right")
    return figure


def _scatter(evaluation: Evaluation) -> Figure:
    step = max(1, len(evaluation.actual) // _POINTS)
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(evaluation.actual[::step], evaluation.predicted[::step], s=6, alpha=0.4)
    axes.axline((float(evaluation.actual.mean()),) * 2, slope=1, linestyle="--", color="gray")
    axes.set_xlabel(f"actual {evaluation.signature.label}")
    axes.set_ylabel("predicted")
    axes.set_title(f"{len(evaluation.actual):,} held-out rows")
    return figure


def _png(figure: Figure) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=_DPI, metadata={"Software": None})
    return written.getvalue()

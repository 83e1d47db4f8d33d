"""The model card and the evaluation report, for people."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from provender_training.evaluation import Evaluation, for_people
from provender_training.fit import Recipe

_STYLE = (
    "body{font:15px sans-serif;margin:2em auto;max-width:60em}table{border-collapse:collapse}"
    "td,th{border:1px solid #bbb;padding:.3em .7em;text-align:left}"
)
_LIBRARIES = ("scikit-learn", "numpy", "skops")


def model_card(evaluation: Evaluation, recipe: Recipe, training_set: str) -> str:
    """Markdown. Nothing in it changes from one training on the same rows to the next."""
    signed = evaluation.signature
    parameters = (
        ", ".join(f"{name}={value!r}" for name, value in sorted(recipe.parameters.items())) or "defaults"
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    facts = [
        ("predicts", signed.output[0].description),
        ("training set", f"`{training_set}`"),
        ("trained on", _span(evaluation.train)),
        ("tested on", f"{_span(evaluation.test)}: later than every training row"),
        ("features as of", "what was known at each row's time" if signed.as_known else "what was true then"),
        ("module", f"`{recipe.module}`, {parameters}"),
        ("libraries", libraries),
    ]
    inputs = [(column.name, column.type, "request") for column in signed.request]
    inputs += [
        (each.name, each.type, f"`{each.view}:{each.feature}`, {_age(each.max_age_seconds)}")
        for each in signed.features
    ]
    return (
        "\n\n".join(
            [
                f"# {signed.model}",
                "\n".join(f"- **{name}**: {text}" for name, text in facts),
                "## Held-out rows",
                _markdown(_header(evaluation), _metric_rows(evaluation)),
                "## Inputs, in the model's order",
                _markdown(("name", "type", "from"), inputs),
            ]
        )
        + "\n"
    )


def report(evaluation: Evaluation, pictures: Mapping[str, bytes]) -> str:
    """One self-contained HTML page: metrics beside the baselines, and the pictures."""
    images = "".join(
        f'<img alt="{html.escape(name)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        for name, data in pictures.items()
    )
    title = html.escape(f"{evaluation.signature.model}: {len(evaluation.actual):,} held-out rows")
    table = _html(_header(evaluation), _metric_rows(evaluation))
    head = f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    return f"{head}<h1>{title}</h1>{table}{images}"


def _header(evaluation: Evaluation) -> list[str]:
    names = {"constant": "constant", "request_only": "request columns only"}
    return ["metric", "model", *(names[each] for each in evaluation.baselines)]


def _metric_rows(evaluation: Evaluation) -> list[list[str]]:
    columns = [for_people(evaluation.metrics), *map(for_people, evaluation.baselines.values())]
    return [[name, *(column[name] for column in columns)] for name in evaluation.metrics]


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _html(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _span(span: Mapping[str, Any]) -> str:
    return f"{span['rows']:,} rows, {span['from']} to {span['to']}"


def _age(seconds: float) -> str:
    return f"at most {seconds / 3600:g} h old" if seconds else "of any age"

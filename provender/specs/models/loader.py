"""Reads one model spec, ``feature_defs/models/<name>.yaml``, and reports everything that is wrong with it.

file → :mod:`provender.specs.document` (YAML, lines) → :mod:`provender.specs.models.spec` (shape and types)
→ a :class:`~provender.specs.models.spec.ModelSpec`. Whether it fits the sources and views around it is
:mod:`provender.specs.models.checks`.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ValidationError

from provender.specs.checks import check_name, check_people
from provender.specs.document import Document, read_document
from provender.specs.loader import normalize_durations
from provender.specs.models.spec import (
    Entities,
    GateRule,
    ModelSpec,
    Replicas,
    Resources,
    Serving,
    Training,
)
from provender.specs.plain import mapping
from provender.specs.problems import to_error
from provender.specs.schema_errors import Shape, report_schema_errors
from provender.specs.source import OutputColumn

_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): ModelSpec,
    ("entities",): Entities,
    ("request",): OutputColumn,
    ("training",): Training,
    ("gate",): GateRule,
    ("serving",): Serving,
    ("serving", "replicas"): Replicas,
    ("serving", "resources"): Resources,
}
_EXAMPLES = {
    "name": "name: {stem}",
    "owner": "owner: <the team that answers for it>",
    "entities": "entities: {{source: <source>, sql: {stem}.sql}}",
    "label": "label: <a column of the entity rows>",
    "metric": "metric: roc_auc",
    "type": "type: INT64",
}
MODEL = Shape(_MODELS, _EXAMPLES)


def load_model(path: Path) -> ModelSpec:
    """The model that ``path`` defines.

    Raises :class:`provender.errors.SpecError`: one line ``file:line: what; remedy`` for each problem.
    """
    spec, document = read_model(path)
    if spec is None or document.problems:
        raise to_error(document.problems)
    return spec


def read_model(path: Path) -> tuple[ModelSpec | None, Document]:
    """The model, where its shape is right, and the document with what is wrong with it so far."""
    document = read_document(path)
    if document.problems and not document.values:
        return None, document
    normalize_durations(document, (), document.values, {"window"})
    normalize_durations(document, ("serving",), mapping(document.values, "serving"), {"timeout"})
    spec: ModelSpec | None = None
    try:
        spec = ModelSpec.model_validate_json(json.dumps(document.values), strict=True)
    except ValidationError as error:
        report_schema_errors(document, error, MODEL)
    check_name(document)
    check_people(document)
    return spec, document

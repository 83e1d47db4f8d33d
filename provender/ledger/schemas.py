"""The JSON schemas of manifests, as ``docs/manifests.md`` shows them."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from provender.ledger.records import MANIFESTS


def schema_lines() -> str:
    """Return the schemas of every manifest and entry, a definition per line, as JSON."""
    _, schema = models_json_schema([(kind, "validation") for kind in MANIFESTS.values()])
    definitions = (f" {json.dumps(name)}: {_shown(each)}" for name, each in sorted(schema["$defs"].items()))
    return "{\n" + ",\n".join(definitions) + "\n}"


def _shown(definition: dict[str, Any]) -> str:
    return json.dumps(_without(definition, {"title", "description"}), ensure_ascii=False)


def _without(value: Any, names: set[str]) -> Any:
    """Without the keys ``names`` that hold text: a field may have such a name too."""
    if isinstance(value, dict):
        return {
            key: _without(inner, names)
            for key, inner in value.items()
            if key not in names or not isinstance(inner, str)
        }
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value

"""Request bodies against Google's own discovery documents, which google-api-python-client carries.

Google's servers refuse an unknown field, one that only they may set, and a value of another type; so does
:func:`problems`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
_INTEGER = re.compile(r"-?\d+")


@cache
def schemas(document: str) -> dict[str, Any]:
    """The schemas of a document, such as ``dataproc.v1``, by name."""
    import googleapiclient

    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    found: dict[str, Any] = json.loads((folder / f"{document}.json").read_text(encoding="utf-8"))["schemas"]
    return found


def problems(document: str, schema: str, body: Any) -> list[str]:
    """What Google would refuse in ``body``; empty if nothing."""
    return list(_problems(document, {"$ref": schema}, body, schema))


def _problems(document: str, schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
    if schema.get("readOnly"):
        yield f"{at}: only Google may set it"
    elif "$ref" in schema:
        yield from _of_object(document, schemas(document)[schema["$ref"]], value, at)
    elif schema["type"] == "object":
        yield from _of_object(document, schema, value, at)
    elif schema["type"] == "array":
        if isinstance(value, list):
            for number, each in enumerate(value):
                yield from _problems(document, schema["items"], each, f"{at}[{number}]")
        else:
            yield f"{at}: not a list"
    elif not _is_scalar(schema, value):
        yield f"{at}: {value!r} is not {schema.get('format') or schema.get('enum') or schema['type']}"


def _of_object(document: str, schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: not an object"
        return
    fields, of_any_name = schema.get("properties", {}), schema.get("additionalProperties")
    for name, inner in value.items():
        if name in fields:
            yield from _problems(document, fields[name], inner, f"{at}.{name}")
        elif of_any_name is None:
            yield f"{at}.{name}: unknown field"
        else:
            yield from _problems(document, of_any_name, inner, f"{at}.{name}")


def _is_scalar(schema: dict[str, Any], value: Any) -> bool:
    kind, form = schema["type"], schema.get("format", "")
    if kind == "any":
        return True
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "number"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if "enum" in schema:
        return value in schema["enum"]
    if form == "google-duration":
        return isinstance(value, str) and bool(_DURATION.fullmatch(value))
    if form in ("int64", "uint64"):
        return isinstance(value, str) and bool(_INTEGER.fullmatch(value))
    return isinstance(value, str)

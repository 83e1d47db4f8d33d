"""Looking into a spec's plain document without assuming that it has the right shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from provender.specs.document import Document


def entries(values: Any, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(position, entry) for the entries under ``key`` that are mappings."""
    listed = values.get(key) if isinstance(values, dict) else None
    for position, entry in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(entry, dict):
            yield position, entry


def texts(values: Any, key: str) -> list[tuple[int, str]]:
    listed = values.get(key) if isinstance(values, dict) else None
    return [
        (i, each)
        for i, each in enumerate(listed if isinstance(listed, list) else [])
        if isinstance(each, str)
    ]


def mapping(values: dict[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def column_types(document: Document) -> dict[str, str]:
    """Name to type of the raw columns, as they stand in the document."""
    return {
        c["name"]: str(c.get("type"))
        for _, c in entries(document.values, "columns")
        if is_text(c.get("name"))
    }


def is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""

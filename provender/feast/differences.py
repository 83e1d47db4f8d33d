"""In which fields a registered Feast object and its definition differ.

Feast's own comparison finds a difference in every object whenever the process is a new one: it compares times of
creation, what inference filled in, and pickled functions. Here these are left out.
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import Message

from provender.ledger.manifest import digest

_BOOKKEEPING = {
    "meta",
    "created_timestamp",
    "last_updated_timestamp",
    "materialization_intervals",
    "version",
    "project",
}
_INFERRED = {"entity_columns"}
_PICKLED = {"body"}


def differences(registered: Any, defined: Any) -> list[str]:
    """Sorted names of the fields of the objects' specs that differ."""
    old, new = _spec(registered), _spec(defined)
    inferred = {name for name in _INFERRED if name not in new}
    return sorted(n for n in (old.keys() | new.keys()) - inferred if old.get(n) != new.get(n))


def fingerprint(feast_object: Any) -> str:
    """Equal for objects without :func:`differences`."""
    fields = {name: value for name, value in _spec(feast_object).items() if name not in _INFERRED}
    return digest(json.loads(json.dumps(fields, default=bytes.hex)))[:16]


def _spec(feast_object: Any) -> dict[str, Any]:
    proto = feast_object.to_proto()
    fields: dict[str, Any] = _plain(proto.spec if "spec" in proto.DESCRIPTOR.fields_by_name else proto)
    return fields


def _plain(value: Any) -> Any:
    """A message as dictionaries without what does not count; unset and empty are the same."""
    if not isinstance(value, Message):
        return value
    plain: dict[str, Any] = {}
    for field, content in value.ListFields():
        if field.name in _BOOKKEEPING or field.name in _PICKLED:
            continue
        if hasattr(content, "items"):
            plain[field.name] = {key: _plain(item) for key, item in content.items()}
        elif field.message_type is not None and not isinstance(content, Message):
            plain[field.name] = [_plain(item) for item in content]
        elif not isinstance(content, (Message, str, bytes, int, float)):
            plain[field.name] = list(content)
        else:
            plain[field.name] = _plain(content)
    return {name: content for name, content in plain.items() if content not in ({}, [])}

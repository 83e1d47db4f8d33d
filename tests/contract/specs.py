"""Sources for tests, made without files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from provender.specs.source import Source


def source_of(**changes: Any) -> Source:
    """A daily source from 2026 with a key and a time."""
    values = {
        "name": "things",
        "owner": "tests",
        "cadence": "daily",
        "start": datetime(2026, 1, 1, tzinfo=UTC),
        "raw": {"uri": "things/{partition}.csv"},
        "event_timestamp": {"column": "at"},
        "columns": [{"name": "key", "type": "STRING", "required": True}, {"name": "at", "type": "TIMESTAMP"}],
        "tables": [{"name": "things", "keys": ["key"]}],
    }
    return Source.model_validate(values | changes)

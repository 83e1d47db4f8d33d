"""Which table, and how much of it, the online store holds: one Redis hash per project, one field per view.

The marker lives beside the values on purpose. Where Redis was flushed, failed over or restored to an older state,
the marker went with the values; a run that finds it absent, or older than the ledger says, rebuilds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from provender.errors import OnlineStoreError
from provender.online.connection import address, connect, translated


@dataclass(frozen=True, slots=True)
class Marker:
    """What one view's online values were written from."""

    table: str
    """URI of the feature table."""
    table_id: str
    """Delta's id of the table: another one means the table was recreated."""
    recorded_up_to: str
    """ISO 8601: every version recorded up to then is reflected."""
    manifest: int
    """Number of the materialize manifest that goes with it."""


def marker_key(project: str) -> str:
    """Cannot be taken for an entity key, which starts with a binary count."""
    return f"provender:marker:{project}"


def stored_markers(connection_string: str, project: str) -> dict[str, str]:
    """Markers by view name, as they are stored; empty if there are none. Raises :class:`OnlineStoreError`."""
    with translated(connection_string, "reading the marker"):
        client = connect(connection_string)
        stored: dict[bytes, bytes] = client.hgetall(marker_key(project))  # type: ignore[assignment]
        client.close()
    return {view.decode(): text.decode(errors="surrogateescape") for view, text in stored.items()}


def read_markers(connection_string: str, project: str) -> dict[str, Marker]:
    """Markers by view name; empty if there are none. Raises :class:`OnlineStoreError`."""
    stored = stored_markers(connection_string, project)
    return {view: parse_marker(connection_string, project, text) for view, text in stored.items()}


def write_marker(connection_string: str, project: str, view: str, marker: Marker) -> None:
    """Sets a view's marker. Raises :class:`OnlineStoreError`."""
    with translated(connection_string, "writing the marker"):
        client = connect(connection_string)
        client.hset(marker_key(project), view, json.dumps(asdict(marker), sort_keys=True))
        client.close()


def delete_marker(connection_string: str, project: str, view: str) -> None:
    """Removes a view's marker, so that its next materialization is a rebuild. Raises :class:`OnlineStoreError`."""
    with translated(connection_string, "deleting the marker"):
        client = connect(connection_string)
        client.hdel(marker_key(project), view)
        client.close()


def parse_marker(connection_string: str, project: str, text: str) -> Marker:
    """A stored marker. Raises :class:`OnlineStoreError` if it is not one of ours."""
    try:
        return Marker(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise OnlineStoreError(
            f"the online store's marker is not one of ours: {text[:200]!r}",
            where=f"{address(connection_string)}, key {marker_key(project)}",
            not_affected="all values",
            remedy=f"redis-cli DEL {marker_key(project)}; the next materialize run rebuilds",
        ) from error

"""The lockfile: everything a training set was built from, so that it can be built again or said why not.

It names the entity rows by checksum, and each feature log by the Delta table's id, the recorded timestamp up to which
it was read, and the hash of its definition. Lookups are in it resolved (keys, ttl, columns): building again needs
neither Feast nor today's definitions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from provender.errors import TrainingSetError
from provender.intervals import iso, parse_iso

FORMAT = 1
LOCKFILE = "lockfile.json"
ENTITIES_FILE = "entities.parquet"
DATA_FILE = "data.parquet"
REPORT_FILE = "report.html"
_ID_LENGTH = 16


@dataclass(frozen=True)
class FeatureColumn:
    """Where an output column comes from."""

    feature: str
    """Feast's name within the view."""
    column: str
    """The log's column."""
    type: str
    """A :class:`provender.specs.source.ColumnType`'s name."""


@dataclass(frozen=True)
class LogRead:
    """How one feature view's log was read."""

    view: str
    source: str
    table: str
    path: str
    """Of the log, under the storage root."""
    table_id: str
    """Delta's id: another one means that the table was recreated. Empty: there was no table, and no row."""
    recorded_up_to: datetime
    """Versions recorded later were not seen."""
    definition: str
    """:func:`provender.specs.hashing.table_hash` when it was read."""
    ttl_seconds: float
    """How old an event timestamp may be. 0: no limit."""
    keys: Mapping[str, str]
    """Column of the entity rows to key column of the log."""
    key_types: Mapping[str, str]
    """Column of the entity rows to the key's :class:`ColumnType`."""
    columns: Mapping[str, FeatureColumn]
    """Output column to where it comes from."""

    @property
    def ttl(self) -> timedelta:
        return timedelta(seconds=self.ttl_seconds)

    @property
    def references(self) -> list[str]:
        return [f"{self.view}:{column.feature}" for column in self.columns.values()]

    @property
    def described(self) -> str:
        """What an error message calls it."""
        return f"view {self.view!r}, table {self.source}.{self.table}"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LogRead:
        given = {field.name: document[field.name] for field in fields(cls)}
        given["recorded_up_to"] = parse_iso(document["recorded_up_to"])
        given["columns"] = {name: FeatureColumn(**each) for name, each in document["columns"].items()}
        return cls(**given)

    def to_document(self) -> dict[str, Any]:
        return {**asdict(self), "recorded_up_to": iso(self.recorded_up_to)}


@dataclass(frozen=True)
class StoredTable:
    """A Parquet file of the training set."""

    file: str
    rows: int
    checksum: str
    """:func:`provender.training_sets.checksum.table_checksum`."""
    columns: Mapping[str, str]
    """Column to Arrow type."""


@dataclass(frozen=True)
class EntityRows(StoredTable):
    """The entity rows, and where they came from."""

    keys: Mapping[str, str]
    """Join key to :class:`ColumnType`."""
    origin: Mapping[str, Any]
    """``from`` in the file: ``source``, ``sql`` (its hash) and ``periods`` ([start, end)); or ``uri``; or ``frame``.
    For people: what counts is the checksum."""


@dataclass(frozen=True)
class Inputs:
    """What decides a training set: its id is their hash."""

    name: str
    project: str
    code: str
    entities: EntityRows
    event_timestamp: str
    label: str | None
    request: tuple[str, ...]
    """Columns of the entity rows that a request brings too."""
    full_feature_names: bool
    as_known: bool
    """Only versions created at or before each row's time exist."""
    logs: tuple[LogRead, ...]

    @property
    def features(self) -> list[str]:
        return [reference for log in self.logs for reference in log.references]

    @property
    def outputs(self) -> list[str]:
        """Feature columns, in their order."""
        return [name for log in self.logs for name in log.columns]

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of the inputs as canonical JSON, ``entities.from`` left out."""
        document = self.to_document()
        del document["entities"]["from"]
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]

    def to_document(self) -> dict[str, Any]:
        entities = asdict(self.entities)
        entities["from"] = entities.pop("origin")
        return {
            "name": self.name,
            "project": self.project,
            "code": self.code,
            "entities": entities,
            "event_timestamp": self.event_timestamp,
            "label": self.label,
            "request": list(self.request),
            "features": self.features,
            "full_feature_names": self.full_feature_names,
            "as_known": self.as_known,
            "logs": [log.to_document() for log in self.logs],
        }


@dataclass(frozen=True)
class Lockfile:
    """``lockfile.json``."""

    inputs: Inputs
    created: datetime
    result: StoredTable

    @property
    def id(self) -> str:
        return self.inputs.id

    @property
    def path(self) -> str:
        """The training set's folder under the storage root."""
        return f"training_sets/{self.inputs.name}/{self.id}"

    def to_bytes(self) -> bytes:
        document = {
            "format": FORMAT,
            "id": self.id,
            "created": iso(self.created),
            **self.inputs.to_document(),
        }
        return json.dumps({**document, "result": asdict(self.result)}, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Lockfile:
        """Raises :class:`TrainingSetError` for what is no lockfile of :data:`FORMAT`, or was edited."""
        try:
            document = json.loads(data)
            if document["format"] != FORMAT:
                raise TrainingSetError(
                    f"lockfile format {document['format']!r} is not known",
                    where=where,
                    remedy=f"known: {FORMAT}",
                )
            found = cls(_inputs(document), parse_iso(document["created"]), StoredTable(**document["result"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TrainingSetError(f"this is no lockfile: {error!r}", where=where) from error
        if found.id != document["id"]:
            raise TrainingSetError(
                f"the lockfile was edited: it says id {document['id']}, its inputs have {found.id}",
                where=where,
                remedy="take the lockfile beside the training set's data",
            )
        return found


def _inputs(document: Mapping[str, Any]) -> Inputs:
    given = {field.name: document[field.name] for field in fields(Inputs)}
    entities = dict(document["entities"])
    given["entities"] = EntityRows(origin=entities.pop("from"), **entities)
    given["request"] = tuple(document["request"])
    given["logs"] = tuple(LogRead.from_document(log) for log in document["logs"])
    return Inputs(**given)

"""What serves, since when, and how it came to: an append-only list of documents per model, and its fold.

    models/<model>/deployments/00000001.json, 00000002.json, …     numbered, created if absent, never overwritten

A document says what was done (:class:`Action`) to which version. Nothing else is stored: what serves now is
:func:`fold` of the documents, as the ledger's partitions are of its manifests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from provender.errors import AlreadyExistsError
from provender.intervals import iso, parse_iso
from provender.storage import Storage, read_document

FORMAT = 1


class Action(StrEnum):
    """What a deployment document records."""

    CANARY = "canary"
    """A version is being tried, with ``percent`` of the traffic (0: only our own requests)."""
    DEPLOY = "deploy"
    """It passed and has all the traffic."""
    ROLLED_BACK = "rolled_back"
    """It did not pass: what served before serves again."""
    ROLLBACK = "rollback"
    """A person put an earlier version back."""
    REJECT = "reject"
    """The gate did not let it through; nothing was tried."""


@dataclass(frozen=True)
class Deployment:
    """One document. ``number`` and ``at`` are the store's to give."""

    model: str
    action: Action
    version: str
    attempt: str
    """Whose work it is: the same for every try of a task."""
    key: str = ""
    """The partition key the version was trained for; empty where nobody said."""
    previous: str | None = None
    """The version that served when this was written."""
    percent: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    smoke: Mapping[str, Any] = field(default_factory=dict)
    """What was asked and answered."""
    serving: Mapping[str, Any] = field(default_factory=dict)
    """How it is served, without secrets: what a rollback puts back, as it was."""
    number: int = 0
    at: datetime | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Deployment:
        given = {name: value for name, value in document.items() if name != "format"}
        return cls(**{**given, "action": Action(given["action"]), "at": parse_iso(given["at"])})

    def to_document(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self), "at": iso(self.at) if self.at else None}


@dataclass(frozen=True)
class State:
    """What the documents add up to."""

    serving: Deployment | None = None
    """The document since which its version has all the traffic."""
    trying: Deployment | None = None
    """The newest canary that neither passed nor was rolled back: under way, or its task died."""

    @property
    def version(self) -> str | None:
        return self.serving.version if self.serving else None


def fold(deployments: Iterable[Deployment]) -> State:
    """The state after ``deployments``, oldest first."""
    state = State()
    for each in deployments:
        match each.action:
            case Action.CANARY:
                state = replace(state, trying=each)
            case Action.DEPLOY | Action.ROLLBACK:
                state = State(serving=each)
            case Action.ROLLED_BACK:
                state = replace(state, trying=None)
            case Action.REJECT:
                pass
    return state


def before(deployments: Iterable[Deployment], version: str) -> str | None:
    """The version that served when ``version`` was deployed first. So one rollback after the other goes back in
    time, and never forward to what was rolled back."""
    return next((e.previous for e in deployments if e.action is Action.DEPLOY and e.version == version), None)


class DeploymentLog:
    """The documents of one model. Nothing is ever overwritten or removed."""

    def __init__(self, storage: Storage, model: str) -> None:
        self._storage = storage
        self._folder = f"models/{model}/deployments"

    def all(self) -> list[Deployment]:
        """Oldest first. Raises :class:`DamagedFileError` for a document that is none."""
        return [self._load(name) for name in self._names()]

    def append(self, deployment: Deployment) -> Deployment:
        """Adds the document under the next free number and the time now; returns it with both."""
        names = self._names()
        number = int(Path(names[-1]).stem) if names else 0
        while True:
            number += 1
            numbered = replace(deployment, number=number, at=datetime.now(UTC))
            text = json.dumps(numbered.to_document(), indent=1)
            try:
                self._storage.create(f"{self._folder}/{number:08d}.json", text.encode())
            except AlreadyExistsError:
                continue
            return numbered

    def _names(self) -> list[str]:
        return [name for name in self._storage.names(self._folder) if name.endswith(".json")]

    def _load(self, name: str) -> Deployment:
        path = f"{self._folder}/{name}"
        return read_document(
            self._storage,
            path,
            Deployment.from_document,
            what="a deployment document",
            remedy="put it back from a backup; if there is none, remove it and deploy the version that shall serve",
        )

"""A model artifact: the folder that training writes and serving loads, named by its content.

    models/<model>/versions/<version>/
        model.skops          the fitted pipeline, in skops' format: loading it runs no code
        signature.json       what it takes and gives (:class:`Signature`)
        lockfile.json        the training set's lockfile
        metrics.json         metric name to number, on the held-out rows
        examples.json        held-out rows with all inputs and the predictions made when training (:class:`Example`)
        …                    model card, plots
        artifact.json        every other file's SHA-256; written last: without it there is no artifact

The version is a hash of what decides predictions and of what they were learnt from (:func:`version_of`), so the
same training twice is one artifact. Reading checks each file against ``artifact.json``.

Training and serving import this module in environments of their own: it needs the standard library, pydantic (for
the types' names) and :mod:`provender.storage`, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from provender.errors import ArtifactError
from provender.intervals import iso, parse_iso
from provender.storage import Storage, storage_at

FORMAT = 1
ARTIFACT_FILE = "artifact.json"
MODEL_FILE = "model.skops"
SIGNATURE_FILE = "signature.json"
LOCKFILE = "lockfile.json"
METRICS_FILE = "metrics.json"
EXAMPLES_FILE = "examples.json"
EVALUATION_FILE = "evaluation.json"
CARD_FILE = "model_card.md"
REQUIRED = (MODEL_FILE, SIGNATURE_FILE, LOCKFILE, METRICS_FILE, EXAMPLES_FILE)
"""What every artifact has, beside :data:`ARTIFACT_FILE`."""
_IDENTITY = (MODEL_FILE, SIGNATURE_FILE)
MOST_MODEL_BYTES = 2 << 30
MOST_DOCUMENT_BYTES = 32 << 20
"""Of every file but the model: documents, plots."""
MOST_DEPTH = 32
"""Of objects and arrays in each other in a JSON file; the deepest that is written has 6."""
_VERSION_LENGTH = 16
_NESTING = re.compile(rb'"(?:[^"\\\\]|\\\\.)*"|[\[\]{}]', re.DOTALL)
"""A string, in which brackets are text, or a bracket."""


@dataclass(frozen=True, slots=True)
class Column:
    """A named value of a :class:`provender.specs.source.ColumnType` (its name, as in ``INT64``)."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Output(Column):
    """What the model predicts."""

    description: str = ""


@dataclass(frozen=True, slots=True)
class FeatureInput:
    """A feature the model takes, and where it is looked up."""

    name: str
    """``view__feature``, as in the training set."""
    view: str
    feature: str
    type: str
    join_keys: tuple[str, ...]
    """Names among the signature's entities."""
    max_age_seconds: float
    """How old a value may be: the view's ttl. 0: no limit."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives: ``signature.json``."""

    model: str
    mode: str
    """``classification`` (predictions are the probability of the second class) or ``regression``."""
    label: str
    entities: tuple[Column, ...]
    """Join keys that a request brings."""
    request: tuple[Column, ...]
    """Inputs that a request brings; a join key may be one."""
    features: tuple[FeatureInput, ...]
    inputs: tuple[str, ...]
    """Names among ``request`` and ``features``, in the order in which the model takes its columns."""
    output: tuple[Output, ...]
    as_known: bool
    """Whether a value created after the request's time does not count, as in the training set."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Signature:
        """Raises :class:`ArtifactError` for what is not a signature of :data:`FORMAT`."""
        try:
            if document["format"] != FORMAT:
                raise ArtifactError(f"signature format {document['format']!r} is not known, only {FORMAT}")
            given = {field.name: document[field.name] for field in fields(cls)}
            given["features"] = tuple(
                FeatureInput(**{**feature, "join_keys": tuple(feature["join_keys"])})
                for feature in document["features"]
            )
            for name, kind in (("entities", Column), ("request", Column), ("output", Output)):
                given[name] = tuple(kind(**column) for column in document[name])
            given["inputs"] = tuple(document["inputs"])
            return cls(**given)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{SIGNATURE_FILE} is not a signature: {error}") from error

    def to_document(self) -> dict[str, Any]:
        """The JSON object of ``signature.json``."""
        return {"format": FORMAT, **asdict(self)}

    def feature(self, name: str) -> FeatureInput:
        """The feature called ``view__feature``. Raises :class:`KeyError`."""
        return {feature.name: feature for feature in self.features}[name]


@dataclass(frozen=True, slots=True)
class Example:
    """A held-out row as it was when the model was trained: the golden rows of a deployment."""

    inputs: Mapping[str, Any]
    """Every input of the signature to its value as JSON; None where there was none."""
    prediction: float


@dataclass(frozen=True)
class Artifact:
    """A whole artifact. Everything read is checked against its hashes."""

    uri: str
    """Of the folder."""
    document: Mapping[str, Any]

    @property
    def model(self) -> str:
        return str(self.document["model"])

    @property
    def version(self) -> str:
        return str(self.document["version"])

    @property
    def training_set(self) -> str:
        """The id of the training set's lockfile."""
        return str(self.document["training_set"])

    @property
    def created(self) -> datetime:
        """When it was written first."""
        return parse_iso(self.document["created"])

    @property
    def files(self) -> Mapping[str, str]:
        """File name to SHA-256 in hex."""
        files: Mapping[str, str] = self.document["files"]
        return files

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises :class:`ArtifactError` if it is not there, not what was written, or larger than an artifact's file may
        be (:data:`MOST_MODEL_BYTES`, :data:`MOST_DOCUMENT_BYTES`); then no more than that was read.
        """
        data = _read(storage_at(self.uri), name)
        if name not in self.files or hashlib.sha256(data).hexdigest() != self.files[name]:
            raise _damaged(self.uri, f"{name} is not the file that was written")
        return data

    def read_json(self, name: str) -> Any:
        """Parse a JSON file. Raises as :meth:`read`, and for what is no JSON or nested too deeply."""
        try:
            return parse_document(self.read(name))
        except ValueError as error:
            raise _damaged(self.uri, f"{name}: {error}") from error

    def verify(self) -> None:
        """Reads every file. Raises :class:`ArtifactError` for the first that is missing or changed."""
        for name in self.files:
            self.read(name)

    def download(self, folder: Path) -> Path:
        """Copies every file, checked, into the local ``folder``, which is made; returns it."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.files:
            (folder / name).write_bytes(self.read(name))
        (folder / ARTIFACT_FILE).write_text(json.dumps(self.document, indent=1), encoding="utf-8")
        return folder

    @cached_property
    def signature(self) -> Signature:
        return Signature.from_document(self.read_json(SIGNATURE_FILE))

    @cached_property
    def metrics(self) -> dict[str, float]:
        return dict(self.read_json(METRICS_FILE))

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        return tuple(
            Example(row["inputs"], row["prediction"]) for row in self.read_json(EXAMPLES_FILE)["rows"]
        )

    @cached_property
    def lockfile(self) -> dict[str, Any]:
        return dict(self.read_json(LOCKFILE))


def read_artifact(uri: str) -> Artifact:
    """The artifact in the folder ``uri`` (a ``file://`` URI or bare path); its files are read when asked for.

    Raises :class:`ArtifactError` if there is none, or if it is not whole.
    """
    storage = storage_at(uri if "://" in uri else Path(uri).resolve().as_uri())
    try:
        document = parse_document(_read(storage, ARTIFACT_FILE))
        missing = [name for name in REQUIRED if name not in document["files"]]
        known = document["format"] == FORMAT and {"model", "version", "training_set"} <= document.keys()
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(storage.root, f"{ARTIFACT_FILE} is not one of an artifact: {error}") from error
    if missing or not known:
        raise _damaged(storage.root, f"{ARTIFACT_FILE} lacks {', '.join(missing) or 'its fields'}")
    return Artifact(storage.root, document)


def artifact_document(
    model: str, training_set: str, files: Mapping[str, bytes], created: datetime
) -> dict[str, Any]:
    """The JSON object of ``artifact.json`` for ``files`` (all but itself)."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    return {
        "format": FORMAT,
        "model": model,
        "version": version_of(hashes, training_set),
        "training_set": training_set,
        "created": iso(created),
        "files": hashes,
    }


def version_of(hashes: Mapping[str, str], training_set: str) -> str:
    """The name of an artifact: what predicts, and from what it was learnt.

    The first 16 hex digits of the SHA-256 of lines ``<name> <sha256>\\n`` for ``model.skops`` and
    ``signature.json``, in this order, then ``training_set <id>\\n``. Cards and plots are not in it.
    """
    lines = [*(f"{name} {hashes[name]}\n" for name in _IDENTITY), f"training_set {training_set}\n"]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:_VERSION_LENGTH]


def parse_document(data: bytes, most_depth: int = MOST_DEPTH) -> Any:
    """Parse JSON that came from elsewhere. Raises :class:`ValueError` for no JSON, and for more than
    ``most_depth`` objects and arrays in each other, before anything is built of it."""
    depth = deepest = 0
    for found in _NESTING.finditer(data):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(found.group(), 0)
        deepest = max(deepest, depth)
    if deepest > most_depth:
        raise ValueError(f"nested {deepest} deep, at most {most_depth}")
    return json.loads(data)


def _read(storage: Storage, name: str) -> bytes:
    most = MOST_MODEL_BYTES if name == MODEL_FILE else MOST_DOCUMENT_BYTES
    try:
        with storage.open(name) as file:
            data = file.read(most + 1)
    except FileNotFoundError as error:
        raise _damaged(storage.root, f"there is no {name}") from error
    if len(data) > most:
        raise _damaged(storage.root, f"{name} is larger than {most} bytes")
    return data


def _damaged(uri: str, what: str) -> ArtifactError:
    return ArtifactError(
        f"this is no whole model artifact: {what}",
        where=uri,
        not_affected="whatever serves now",
        remedy="train it again: the same training set gives the same version",
    )

"""Writes the artifact: ``<output>/versions/<version>/``, see :mod:`provender.model_registry.artifact`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from provender.errors import AlreadyExistsError
from provender.model_registry.artifact import ARTIFACT_FILE, Artifact, artifact_document, read_artifact
from provender.storage import storage_at


def write_artifact(output_uri: str, model: str, training_set: str, files: Mapping[str, bytes]) -> Artifact:
    """The artifact of ``files``, found or written. ``artifact.json`` comes last: without it there is none."""
    storage = storage_at(output_uri)
    document = artifact_document(model, training_set, files, datetime.now(UTC).replace(microsecond=0))
    folder = f"versions/{document['version']}"
    if not storage.exists(f"{folder}/{ARTIFACT_FILE}"):
        for name, data in files.items():
            with storage.writing(f"{folder}/{name}") as file:
                file.write(data)
        # Where another run of the same training was faster, its files are these.
        with contextlib.suppress(AlreadyExistsError):
            storage.create(f"{folder}/{ARTIFACT_FILE}", json.dumps(document, indent=1).encode() + b"\n")
    artifact = read_artifact(storage.uri(folder))
    artifact.verify()
    return artifact

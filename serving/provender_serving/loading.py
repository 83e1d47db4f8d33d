"""A pointer into something that predicts: artifact checked, model file loaded, golden rows answered.

Nothing of an artifact is executed. Its files are checked against their hashes; ``model.skops`` may only name types
that skops trusts or that are in :data:`provender.model_registry.skops_allowlist.TRUSTED`; and a model is taken only
if it answers its own held-out rows as it did when it was trained, so that another version of a library, or of a
processor, that changes predictions is found here and not by a user.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import skops.io

from provender.errors import ProvenderError, TransientError
from provender.model_registry.artifact import (
    MODEL_FILE,
    MOST_MODEL_BYTES,
    Artifact,
    Example,
    Signature,
    parse_document,
    read_artifact,
)
from provender.model_registry.inputs import model_input
from provender.model_registry.skops_allowlist import TRUSTED
from provender.online.reader import Reader
from provender_serving import metrics
from provender_serving.instances import Instance, InstanceParser
from provender_serving.lookup import FeatureLookup, Resolved
from provender_serving.pointer import Pointer, Policy
from provender_serving.problems import LoadError, LoadLaterError, RequestError

MOST_SCHEMA_BYTES = 64 << 20
MOST_SCHEMA_DEPTH = 200
"""skops reads its schema by recursion; a gradient boosting in a pipeline is about 30 deep."""
TOLERANCE = 1e-9
"""How far a golden row's prediction may be from the recorded one, absolutely and relatively."""


@dataclass(frozen=True)
class LoadedModel:
    """One version, ready to predict. Used by one thread at a time."""

    version: str
    signature: Signature
    parser: InstanceParser
    lookup: FeatureLookup
    estimator: Any
    """A fitted scikit-learn pipeline. It takes a 2-D object array, columns in the signature's order."""
    reader: Reader | None

    def resolve(self, instances: Sequence[Instance]) -> Resolved:
        """The features. Raises :class:`provender.errors.OnlineStoreError`."""
        return self.lookup.resolve(instances)

    def predict(self, instances: Sequence[Instance], resolved: Resolved) -> list[float]:
        """One number per instance: the second class's probability, or the regression's value."""
        if not instances:
            return []
        columns = {name: column.values for name, column in resolved.columns.items()}
        for brought in self.signature.request:
            columns[brought.name] = [instance.values[brought.name] for instance in instances]
        matrix = model_input(columns, self.signature.inputs)
        if self.signature.mode == "classification":
            found = self.estimator.predict_proba(matrix)[:, 1]
        else:
            found = self.estimator.predict(matrix)
        return [float(value) for value in found]

    def close(self) -> None:
        """Closes the connections to Redis."""
        if self.reader is not None:
            self.reader.close()


def load_model(name: str, pointer: Pointer) -> LoadedModel:
    """What ``pointer`` names, proven on its golden rows and, if it reads features, on Redis being there.

    Raises :class:`LoadError` with the reason.
    """
    try:
        artifact = read_artifact(pointer.artifact)
        signature = artifact.signature
        layouts = pointer.layouts(signature)
        reader = _reader(pointer, layouts) if signature.features else None
        lookup = FeatureLookup(signature, pointer.policy, reader, metrics.tally_of(name))
        estimator = _estimator(artifact)
        model = LoadedModel(artifact.version, signature, InstanceParser(signature), lookup, estimator, reader)
        check_golden_rows(model, artifact.examples)
    except TransientError as error:
        raise LoadLaterError(error.what) from error
    except ProvenderError as error:
        raise LoadError(error.what) from error
    except OSError as error:
        raise LoadError(f"the artifact {pointer.artifact} cannot be read: {error}") from error
    return model


def _reader(pointer: Pointer, layouts: Sequence[Any]) -> Reader:
    reader = Reader(pointer.online.address, pointer.online.project, layouts)
    reader.ping()
    return reader


def _estimator(artifact: Artifact) -> Any:
    data = artifact.read(MODEL_FILE)
    _refuse_swollen(data)
    foreign = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
    if foreign:
        raise LoadError(
            f"{MODEL_FILE} holds types that are not trusted: {', '.join(foreign)}; nothing was loaded"
        )
    try:
        return skops.io.loads(data, trusted=list(TRUSTED))
    except Exception as error:  # skops and what it builds raise anything
        raise LoadError(f"{MODEL_FILE} cannot be loaded: {type(error).__name__}: {error}") from error


def _refuse_swollen(data: bytes) -> None:
    """Raise :class:`LoadError` for a file that inflates to more than a model may be, or whose schema is too deep.

    The format is a ZIP file with ``schema.json`` and arrays in it: https://skops.readthedocs.io/en/stable/persistence.html
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            sizes = {entry.filename: entry.file_size for entry in packed.infolist()}
            if sum(sizes.values()) > MOST_MODEL_BYTES or sizes["schema.json"] > MOST_SCHEMA_BYTES:
                raise LoadError(f"{MODEL_FILE} inflates to {sum(sizes.values())} bytes; nothing was loaded")
            with packed.open("schema.json") as schema:
                parse_document(schema.read(MOST_SCHEMA_BYTES + 1), most_depth=MOST_SCHEMA_DEPTH)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise LoadError(f"{MODEL_FILE} cannot be loaded: {error}; nothing was loaded") from error


def check_golden_rows(model: LoadedModel, examples: Sequence[Example]) -> None:
    """Raises :class:`LoadError` if the model answers its held-out rows otherwise than when it was trained."""
    if not examples:
        raise LoadError(
            "the artifact has no golden rows, so nobody can tell whether the model answers as it did"
        )
    given = FeatureLookup(model.signature, Policy(), None, metrics.FeatureTally())
    try:
        instances = model.parser.parse([dict(example.inputs) for example in examples])
        found = model.predict(instances, given.resolve(instances))
    except RequestError as error:
        raise LoadError(f"the golden rows do not fit the signature: {error}") from error
    except Exception as error:  # the model's own
        raise LoadError(f"the model fails on its golden rows: {type(error).__name__}: {error}") from error
    for row, (prediction, example) in enumerate(zip(found, examples, strict=True)):
        if not math.isclose(prediction, example.prediction, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            raise LoadError(
                f"the model does not answer as it did when it was trained: golden row {row} gives "
                f"{prediction!r} instead of {example.prediction!r}"
            )

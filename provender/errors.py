"""All errors a user can meet, as one tree.

    ProvenderError
    ├── TerminalError                  retrying does not help
    │   ├── SpecError                  a definition is wrong (file, line, remedy)
    │   ├── SettingsError              feature_store.yaml is wrong or missing
    │   ├── PartitionError             a partition key or range is invalid, or outside the source's range
    │   ├── ContractError              raw rows break the source's contract past its limit
    │   ├── WithdrawalError            a redelivery would withdraw more rows than the source allows
    │   ├── StagedCopyError            a staged copy is gone or changed, and its raw file too
    │   ├── SqlError                   a feature table's SQL is refused or fails
    │   ├── SchemaChangeError          a table exists with other column types
    │   ├── LogNotFoundError           a feature table has not been written yet
    │   ├── ArtifactError              a model artifact is missing, damaged or of another format
    │   ├── TrainingSetError           a training set cannot be built, read or rebuilt
    │   ├── DamagedFileError           a file written by the platform is empty, truncated or malformed
    │   ├── DeployError                a model was not deployed, or was rolled back
    │   ├── SetupError                 something has to be installed first
    │   ├── KubernetesNotFoundError    Kubernetes has no such object (404)
    │   ├── DataprocNotFoundError      Dataproc has no such batch or job (404)
    │   ├── DataprocNameTakenError     Dataproc has a batch or job of that name already (409)
    │   ├── DataprocStateError         a batch or job is in no state in which it can be cancelled (400)
    │   └── KubeflowNotFoundError      Kubeflow Pipelines has no such run, experiment or path (404)
    └── TransientError                 retrying later may help
        ├── SourceNotReadyError        the raw files have not arrived
        ├── LockHeldError              another writer holds the lock
        ├── RegistryError              Feast's registry cannot be reached
        ├── OnlineStoreError           Redis cannot be reached, or the connection broke
        ├── SparkUnavailableError      the Spark engine cannot be reached
        ├── SparkJobError              Spark gave up on a job for a reason of its own
        ├── KubernetesConflictError    Kubernetes has the object in another version, or one of that name (409)
        ├── KubeflowError              Kubeflow Pipelines cannot be reached or is unhealthy, or lost a run
        ├── PredictorError             the model's server or its cluster cannot be reached or is unhealthy
        ├── BigQueryError              BigQuery cannot be reached, or aborted a job
        └── StorageError               the storage root cannot be read or written
            └── AlreadyExistsError     create-if-absent found a file

Every error has four texts, ``what``, ``where``, ``not_affected`` and ``remedy``: what broke, where, which data is not
affected, what to type next. Classes that a caller may want to handle by data declare it as typed attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, ClassVar

_TEXTS = ("what", "where", "not_affected", "remedy")
_OLD_NOT_AFFECTED = "unharmed"
"""The key of ``not_affected`` in documents written by older versions."""


@dataclass(eq=False, repr=False)
class ProvenderError(Exception):
    """Root of all errors raised on purpose. ``str()`` is the whole message for a person."""

    exit_code: ClassVar[int] = 1

    what: str
    _: KW_ONLY
    where: str = ""
    not_affected: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        super().__init__(self.what)

    def __str__(self) -> str:
        labeled = {"Where": self.where, "Not affected": self.not_affected, "Next": self.remedy}
        return "\n".join(
            [self.what, *(f"  {name + ':':<13} {text}" for name, text in labeled.items() if text)]
        )

    def attributes(self) -> dict[str, Any]:
        """Return the typed attributes beside the four texts, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _TEXTS}

    def to_dict(self) -> dict[str, Any]:
        """Return the error as a JSON object, which :func:`error_from_dict` restores.

        ``kind`` names the class, ``terminal`` is "true" or "false", ``what``, ``where``, ``not_affected`` and
        ``remedy`` are the texts, ``attributes`` holds the typed attributes (tuples as arrays).
        """
        return {
            "kind": type(self).__name__,
            "terminal": str(isinstance(self, TerminalError)).lower(),
            **{name: getattr(self, name) for name in _TEXTS},
            "attributes": self.attributes(),
        }


class TerminalError(ProvenderError):
    """Retrying does not help: someone has to change a file, a setting or the data."""

    exit_code = 3


class TransientError(ProvenderError):
    """Retrying later may help."""

    exit_code = 4


@dataclass(eq=False, repr=False)
class SpecError(TerminalError):
    """One or more definitions are wrong; ``what`` holds one line for each."""

    _: KW_ONLY
    problems: tuple[str, ...] = ()
    """The lines of ``what``, where there are several."""


class SettingsError(TerminalError):
    """``feature_store.yaml`` is missing, unreadable or wrong."""


@dataclass(eq=False, repr=False)
class PartitionError(TerminalError):
    """A partition key or range is invalid, or outside the source's range."""

    _: KW_ONLY
    partitions: tuple[str, ...] = ()
    """Keys, or the text that is none."""


@dataclass(eq=False, repr=False)
class ContractError(TerminalError):
    """Raw rows or files break the source's contract past the limit its spec sets."""

    _: KW_ONLY
    source: str = ""
    partitions: tuple[str, ...] = ()
    """Keys of the partitions past the limit; empty where the partition is not known."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows by reason, over these partitions; a row may have several reasons."""


@dataclass(eq=False, repr=False)
class WithdrawalError(TerminalError):
    """A redelivery would withdraw more of a partition's rows than its source allows."""

    _: KW_ONLY
    source: str = ""
    partitions: tuple[str, ...] = ()
    withdrawn: dict[str, int] = field(default_factory=dict)
    """Accepted rows that would be withdrawn, by partition key."""


@dataclass(eq=False, repr=False)
class StagedCopyError(TerminalError):
    """A staged copy is gone, truncated or changed, and the raw bytes it was copied from are gone too."""

    _: KW_ONLY
    source: str = ""
    partitions: tuple[str, ...] = ()


class SqlError(TerminalError):
    """A feature table's SQL is refused, or fails on its rows."""


@dataclass(eq=False, repr=False)
class SchemaChangeError(TerminalError):
    """A table exists with column types other than the spec's."""

    _: KW_ONLY
    columns: tuple[str, ...] = ()


class LogNotFoundError(TerminalError):
    """A feature table has not been written yet."""


@dataclass(eq=False, repr=False)
class ArtifactError(TerminalError):
    """A model artifact is missing, damaged or of another format."""

    _: KW_ONLY
    model: str = ""
    version: str = ""


class TrainingSetError(TerminalError):
    """A training set cannot be built as asked, read, or rebuilt."""


class DamagedFileError(TerminalError):
    """A file written by the platform is empty, truncated or malformed; ``where`` is the file."""


@dataclass(eq=False, repr=False)
class DeployError(TerminalError):
    """A model was not deployed, or did not pass its smoke test and was rolled back."""

    _: KW_ONLY
    model: str = ""
    version: str = ""


class SetupError(TerminalError):
    """Something has to be installed or set up before this can run."""


class KubernetesNotFoundError(TerminalError):
    """Kubernetes has no such object (404)."""


class DataprocNotFoundError(TerminalError):
    """Dataproc has no such batch or job (404)."""


class DataprocNameTakenError(TerminalError):
    """Dataproc has a batch or job of that name already (409)."""


class DataprocStateError(TerminalError):
    """A batch or job is in no state in which it can be cancelled (400, FAILED_PRECONDITION)."""


class KubeflowNotFoundError(TerminalError):
    """Kubeflow Pipelines has no such run, experiment or path (404)."""


@dataclass(eq=False, repr=False)
class SourceNotReadyError(TransientError):
    """A source's raw files have not arrived, or what is needed of it has not been staged or ingested."""

    _: KW_ONLY
    source: str = ""
    partitions: tuple[str, ...] = ()


@dataclass(eq=False, repr=False)
class LockHeldError(TransientError):
    """Another writer holds the lock."""

    _: KW_ONLY
    lock: str = ""
    holder: str = ""
    """The attempt, or the process, as it named itself."""


class RegistryError(TransientError):
    """Feast's registry cannot be reached, or its database broke off."""


class OnlineStoreError(TransientError):
    """The online store cannot be reached, or broke off during a write."""


class SparkUnavailableError(TransientError):
    """The Spark engine cannot be reached or died."""


class SparkJobError(TransientError):
    """Spark gave up on a job for a reason of its own."""


class KubernetesConflictError(TransientError):
    """Kubernetes has an object of that name already, or another version of it than the one meant (409)."""


class KubeflowError(TransientError):
    """Kubeflow Pipelines cannot be reached or is unhealthy, or a run ended without a report."""


class PredictorError(TransientError):
    """The model's server, or the cluster that runs it, cannot be reached or is unhealthy."""


class BigQueryError(TransientError):
    """BigQuery cannot be reached, or aborted a job."""


class StorageError(TransientError):
    """The storage root cannot be read or written."""


class AlreadyExistsError(StorageError):
    """Create-if-absent found a file of that name."""


def error_kinds() -> dict[str, type[ProvenderError]]:
    """Return every class of the tree by its name."""
    return {kind.__name__: kind for kind in _tree(ProvenderError)}


def error_from_dict(document: Mapping[str, Any]) -> ProvenderError:
    """Restore an error from :meth:`ProvenderError.to_dict`: the same class, texts and attributes.

    A class that this version does not know becomes :class:`TerminalError` or :class:`TransientError`; attributes it
    does not know are left out; documents of older versions are read too.
    """
    fallback = TerminalError if document.get("terminal") == "true" else TransientError
    kind = error_kinds().get(str(document.get("kind")), fallback)
    texts = {name: str(document.get(name) or "") for name in ("where", "not_affected", "remedy")}
    texts["not_affected"] = texts["not_affected"] or str(document.get(_OLD_NOT_AFFECTED) or "")
    known = {each.name for each in fields(kind)} - set(_TEXTS)
    given = {
        name: _value(value) for name, value in (document.get("attributes") or {}).items() if name in known
    }
    return kind(str(document.get("what") or "the job failed"), **texts, **given)


def _tree(kind: type[ProvenderError]) -> Iterator[type[ProvenderError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

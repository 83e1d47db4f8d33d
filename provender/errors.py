"""Every error a user can meet, as one tree.

    ProvenderError
    ├── TerminalError                 no retry can mend it
    │   ├── SpecError                 a definition is wrong (file, line, remedy)
    │   ├── SettingsError             feature_store.yaml is wrong or not there
    │   ├── PartitionError            a partition key or range that cannot be
    │   ├── ContractError             raw rows break the source's contract past its limit
    │   ├── WithdrawalError           a redelivery would take back more rows than the source allows
    │   ├── StagedCopyError           a staged copy is gone or changed, and its raw file too
    │   ├── SqlError                  a feature table's SQL is refused or fails
    │   ├── SchemaChangeError         a table exists with other column types
    │   ├── ArtifactError             a model artifact is missing, damaged or of another format
    │   ├── TrainingSetError          a training set cannot be built, read or built again
    │   ├── DamagedFileError          a file of the platform's own is empty, cut or not what it should be
    │   ├── DeployError               a model was not deployed, or was rolled back
    │   └── SetupError                something has to be installed first
    └── TransientError                trying again later can mend it
        ├── SourceNotReadyError       the raw files have not arrived
        ├── LockHeldError             another writer has the table
        ├── RegistryError             Feast's registry cannot be reached
        ├── OnlineStoreError          Redis cannot be reached or broke off
        ├── SparkUnavailableError     the Spark engine cannot be reached
        ├── KubeflowError             Kubeflow Pipelines cannot be reached or is ill, or lost a run
        ├── PredictorError            the model's server, or the cluster that runs it, cannot be reached or is ill
        ├── BigQueryError             BigQuery cannot be reached, or broke off a job
        └── StorageError              the storage root cannot be read or written

A message is one to four short lines: what broke, where, what is unharmed, what to type next.
"""

from __future__ import annotations


class ProvenderError(Exception):
    """Root of all errors raised on purpose. ``str()`` is the whole message for a person."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", unharmed: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.unharmed = unharmed
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"  where:    {self.where}")
        if self.unharmed:
            parts.append(f"  unharmed: {self.unharmed}")
        if self.remedy:
            parts.append(f"  next:     {self.remedy}")
        return "\n".join(parts)

    def to_dict(self) -> dict[str, str]:
        """The same message for machines; ``kind`` names the class, ``terminal`` is "true" or "false"."""
        return {
            "kind": type(self).__name__,
            "terminal": str(isinstance(self, TerminalError)).lower(),
            "what": self.what,
            "where": self.where,
            "unharmed": self.unharmed,
            "remedy": self.remedy,
        }


class TerminalError(ProvenderError):
    """No retry can mend it: someone has to change a file, a setting or the data."""

    exit_code = 3


class TransientError(ProvenderError):
    """Trying again later can mend it."""

    exit_code = 4


class SpecError(TerminalError):
    """One or more definitions are wrong; ``what`` holds one line for each."""


class SettingsError(TerminalError):
    """``feature_store.yaml`` is missing, unreadable or wrong."""


class PartitionError(TerminalError):
    """A partition key or a range of partitions that cannot be."""


class ContractError(TerminalError):
    """Raw rows or files break the source's contract past the limit its spec sets."""


class WithdrawalError(TerminalError):
    """A redelivery would take back more of a partition's rows than its source allows without being told."""


class StagedCopyError(TerminalError):
    """A staged copy is gone, cut or changed, and the raw bytes it was copied from are not there any more."""


class SqlError(TerminalError):
    """A feature table's SQL is refused, or Spark refuses it."""


class SchemaChangeError(TerminalError):
    """A table exists with column types other than the spec's."""


class ArtifactError(TerminalError):
    """A model artifact is missing, damaged or of another format."""


class TrainingSetError(TerminalError):
    """A training set cannot be built as asked, read, or built again."""


class DamagedFileError(TerminalError):
    """A file that the platform wrote whole is empty, cut or not what it should be."""


class DeployError(TerminalError):
    """A model was not deployed, or did not pass its smoke test and was rolled back."""


class SetupError(TerminalError):
    """Something has to be installed or set up before this can run."""


class SourceNotReadyError(TransientError):
    """The partition's raw files have not arrived."""


class LockHeldError(TransientError):
    """Another writer holds the table."""


class RegistryError(TransientError):
    """Feast's registry cannot be reached, or its database broke off."""


class OnlineStoreError(TransientError):
    """The online store cannot be reached, or broke off during a write."""


class SparkUnavailableError(TransientError):
    """The Spark engine cannot be reached or died."""


class KubeflowError(TransientError):
    """Kubeflow Pipelines cannot be reached or is not able to answer, or a run ended without a report."""


class PredictorError(TransientError):
    """The model's server cannot be reached or is not able to answer, or the cluster that runs it is not."""


class BigQueryError(TransientError):
    """BigQuery cannot be reached, or broke off a job."""


class StorageError(TransientError):
    """The storage root cannot be read or written."""

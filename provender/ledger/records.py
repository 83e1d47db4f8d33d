"""What a manifest holds, as types: one class per job, one per kind of entry in it.

A record is frozen, refuses fields that it does not know, and is written back as it was read: a field that an older
manifest lacks stays absent. ``docs/manifests.md`` has the JSON schemas, generated from these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from provender.intervals import as_utc, iso

FORMAT = 1

Moment = Annotated[AwareDatetime, AfterValidator(as_utc), PlainSerializer(iso, when_used="json")]
"""A time in UTC; in JSON ISO 8601 with microseconds, so that text order is time order."""
Counts = dict[str, int]


class Job(StrEnum):
    """What commits manifests."""

    STAGE = "stage"
    INGEST = "ingest"
    MATERIALIZE = "materialize"
    PUBLISH = "publish"
    ADMIT = "admit"


class Kind(StrEnum):
    """A manifest records work; a receipt records that there was nothing to do."""

    MANIFEST = "manifest"
    RECEIPT = "receipt"


class Record(BaseModel):
    """A part of a document on disk."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object: the fields that were given, in their order."""
        return self.model_dump(mode="json", exclude_unset=True)


class StagedFile(Record):
    """A staged file and its profile: what a reader must know before it may believe the rows."""

    name: str
    format: str
    """``csv``, ``json``, ``parquet`` or ``avro``."""
    bytes: int
    sha256: str
    invalid_at: int | None = None
    """CSV, JSON: offset of the first byte that is not in the declared encoding."""
    blank: bool = False
    """CSV, JSON: nothing but white space."""
    multiline: bool = False
    """CSV: a quoted field holds a line break."""
    unclosed_quote: int | None = None
    """CSV: line of a quote that is never closed."""
    header: tuple[str, ...] | None = None
    """CSV: column names; null if the spec says that there are none."""
    columns: dict[str, str] = Field(default_factory=dict, alias="schema")
    """Parquet, Avro: column name to type."""
    twice: tuple[str, ...] = ()
    """Parquet, Avro: column names that occur twice, upper and lower case alike."""
    unreadable: str = ""
    """Why a damaged file cannot be read."""


class RawStamp(Record):
    """Which version of a raw file was staged."""

    bytes: int
    modified: Moment | None = None
    """Of a file on a disk: its modification time."""
    generation: str | None = None
    """Of an object."""


class StagedPartition(Record):
    """What a stage manifest says of a partition."""

    content: str
    """Hash of all file names, sizes and checksums: names the delivery's bytes."""
    folder: str
    """Where the copies are, under the storage root."""
    files: tuple[StagedFile, ...]
    delivery: int
    """1 for the partition's first bytes; one more each time they are others than the last ones."""
    delivered: Moment
    """From when its rows count as known."""
    arrived: Moment | None = None
    """When this delivery was staged. Absent in older manifests."""
    raw: dict[str, RawStamp] | None = None
    """Per raw file the version that was staged. Absent in older manifests and where rows were cut, queried or came as
    a DataFrame."""
    rows: str | None = None
    """Of BigQuery: a fingerprint of the rows, the same in whatever order they came."""


class WithdrawalAllowed(Record):
    """How many rows a redelivery took back, because somebody allowed it."""

    rows: int
    of: int


class IngestedPartition(Record):
    """What an ingest manifest says of a partition."""

    content: str
    delivery: int
    delivered: Moment
    waived: tuple[str, ...]
    """Reasons that a person has admitted for this partition."""
    spec: str
    """Data half of the spec hash it was ingested by."""
    staged: int
    accepted: int
    quarantined: int
    reasons: Counts
    """Quarantined rows by reason; a row with two reasons counts for both."""
    before_start: int = 0
    """Accepted rows of periods before the source's ``start``."""
    features: dict[str, Counts]
    """Per feature table ``new``, ``corrected``, ``withdrawn``, ``unchanged``, and ``null_keys`` if there are any."""
    withdrawal_allowed: WithdrawalAllowed | None = None


class AdmittedPartition(Record):
    """What an admit manifest says of a partition."""

    reasons: tuple[str, ...]
    """All that were ever admitted for it."""


class StagedFolder(Record):
    """A staged partition that an ingest read."""

    folder: str
    content: str


class Transaction(Record):
    """Delta's transaction id of a commit: it makes the write happen once."""

    app_id: str
    version: int


class TableCommit(Record):
    """A table that an ingest wrote to: one Delta commit."""

    table: str
    """Path under the storage root."""
    rows: int
    version: int
    files: int
    bytes: int
    txn: Transaction


class MissingTable(Record):
    """A view whose feature table no ingest has made yet."""

    view: str
    table: str
    versions: Literal[0]


class ViewWrite(Record):
    """A feature view that a materialization wrote."""

    view: str
    table: str
    table_id: str
    """Delta's id of the table; another one means that it was created anew."""
    layout: str
    """Hash of the view's name, keys, features and columns as applied; another one means a rebuild."""
    recorded_up_to: Moment
    """The online store holds every version of the view recorded up to here."""
    rebuilt: str | None
    """Why everything was written anew."""
    session: str | None = None
    """What the online store names the writing by. Absent in older manifests."""
    undefined: Counts = Field(default_factory=dict)
    """Feature that is not defined any more, to how many keys it was removed from."""
    written: int
    skipped: int
    """Entity rows not written, because what is online is newer."""
    deleted: int


class PublishedTable(Record):
    """A feature table that was published to BigQuery."""

    table: str
    table_id: str
    published: str
    """``project.dataset.name``."""
    published_id: str
    """When BigQuery made that table; another time means that it was made anew."""
    recorded_up_to: Moment
    rebuilt: str | None
    days: int
    """Event dates replaced."""
    changed: int
    """Rows taken out or put in."""
    jobs: tuple[str, ...]


class Manifest(Record):
    """A committed manifest or receipt."""

    format: Literal[1]
    number: int
    """1, 2, 3, … per source and job; never reused."""
    source: str
    job: Job
    kind: Kind
    attempt: str
    input_hash: str
    """SHA-256 of ``partitions``, ``spec`` and ``read`` as canonical JSON."""
    partitions: Mapping[str, Record]
    """Per partition key what was done."""
    recorded_up_to: Moment | None
    """Ingest: the logs are complete up to here. Materialize, publish: the online store, or BigQuery, holds the logs up
    to here."""
    read: tuple[Record, ...]
    wrote: tuple[Record, ...]
    counts: Counts
    notes: tuple[str, ...]
    """Sentences for people: what was announced or left out."""
    resumed: bool
    """The attempt before died while writing: some of what this one found in the tables is that one's work."""
    spec: dict[str, str]
    """Ingest: ``data`` and ``descriptive``, the two halves of the spec hash."""
    code: str
    """Which provender wrote it."""
    started: Moment
    committed: Moment

    @property
    def seconds(self) -> float:
        """From the attempt's start to its commit."""
        return (self.committed - self.started).total_seconds()


class StageManifest(Manifest):
    job: Literal[Job.STAGE]
    partitions: dict[str, StagedPartition]


class IngestManifest(Manifest):
    job: Literal[Job.INGEST]
    partitions: dict[str, IngestedPartition]
    read: tuple[StagedFolder, ...]
    wrote: tuple[TableCommit, ...]


class MaterializeManifest(Manifest):
    job: Literal[Job.MATERIALIZE]
    read: tuple[MissingTable, ...]
    wrote: tuple[ViewWrite, ...]


class PublishManifest(Manifest):
    job: Literal[Job.PUBLISH]
    wrote: tuple[PublishedTable, ...]


class AdmitManifest(Manifest):
    job: Literal[Job.ADMIT]
    partitions: dict[str, AdmittedPartition]


MANIFESTS: Mapping[Job, type[Manifest]] = {
    Job.STAGE: StageManifest,
    Job.INGEST: IngestManifest,
    Job.MATERIALIZE: MaterializeManifest,
    Job.PUBLISH: PublishManifest,
    Job.ADMIT: AdmitManifest,
}

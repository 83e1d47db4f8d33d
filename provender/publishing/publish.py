"""Publish: what a source's logs recorded since the last time, into BigQuery.

    versions recorded in (last, now] ─▶ their event dates ─▶ the log's files of these dates ─▶ staging table
      ─▶ one statement that replaces these dates ─▶ manifest

A published day is a function of the log alone, so it does not matter how often, in which order or by how many attempts
it is published. What the log holds of a day is loaded by BigQuery from the table's own Parquet files; no row passes
through this process.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from google.cloud import bigquery

from provender import metrics
from provender.clients import bigquery_jobs
from provender.clients.bigquery import client as connected
from provender.clients.bigquery import translated
from provender.errors import SourceNotReadyError
from provender.intervals import iso
from provender.ledger import Draft, Job, Kind, Ledger, Manifest, digest
from provender.ledger.records import PublishedTable
from provender.publishing import bigquery_tables, statements
from provender.publishing.bigquery_tables import Published
from provender.publishing.days import DayRange, due_days, files_of, portions
from provender.publishing.load import Load
from provender.publishing.names import warehouse_of
from provender.settings import BigQuerySettings, Settings
from provender.specs.catalog import Catalog
from provender.specs.source import FeatureTable, Source
from provender.storage import HeldLock, Storage, storage_at
from provender.storage.disk import scratch_errors
from provender.storage.source_lock import source_lock
from provender.tables.feature_log import FeatureLog

logger = logging.getLogger(__name__)


@scratch_errors()
def publish(settings: Settings, source_name: str, attempt: str, *, full: bool = False) -> Manifest:
    """Brings the published tables of ``source_name`` up to its last committed ingest.

    The manifest's ``wrote`` has one entry per table that had something due (``table``, ``table_id``, ``published``,
    ``published_id``, ``recorded_up_to``, ``rebuilt`` with the reason or null, ``days``, ``changed`` rows, ``jobs``).

    Raises :class:`SettingsError` without ``provender.bigquery``, :class:`SourceNotReadyError` if nothing was ingested,
    :class:`BigQueryError`.
    """
    started = datetime.now(UTC)
    warehouse = warehouse_of(settings)
    source = Catalog.load(settings.repo).source(source_name)
    storage = storage_at(settings.storage_root)
    ledger = Ledger(storage, source.name)
    with (
        source_lock(storage, source.name, "published", attempt) as held,
        translated(f"{warehouse.project}.{warehouse.dataset}"),
    ):
        up_to = ledger.state().recorded_up_to
        if up_to is None:
            raise SourceNotReadyError(
                f"{source.name}: nothing was ingested yet",
                remedy=f"provender ingest {source.name} PARTITION",
                source=source.name,
            )
        client = connected(warehouse)
        bigquery_jobs.end(client, held.abandoned_work)
        work = _Work(settings, warehouse, storage, source, up_to, attempt, full, held, client)
        last = ledger.state().totals.published
        found = [work.table(spec, last.get(source.path_of(spec))) for spec in source.tables]
        done = [written for written in found if written is not None]
        manifest = ledger.commit(_draft(attempt, started, up_to, done))
        held.finish()
        for load in [load for written in done for load in written.loads]:
            load.forget()
    metrics.job_done(settings, manifest)
    return manifest


@dataclass(frozen=True)
class Written:
    """What became of one table."""

    entry: PublishedTable
    loads: list[Load]


@dataclass(frozen=True)
class _Work:
    """One attempt on one source."""

    settings: Settings
    warehouse: BigQuerySettings
    storage: Storage
    source: Source
    up_to: datetime
    attempt: str
    full: bool
    held: HeldLock
    client: bigquery.Client

    def table(self, spec: FeatureTable, last: PublishedTable | None) -> Written | None:
        """Publishes what is due of one table; None: nothing is."""
        path = self.source.path_of(spec)
        log = FeatureLog(self.storage.uri(path))
        if not log.exists:
            return None
        target = bigquery_tables.ensure(self.client, self.warehouse, self.source, spec)
        table_id = log.table_id
        reason = "asked for with --full" if self.full else why_rebuild(last, table_id, target)
        since = None if reason or last is None else last.recorded_up_to
        days = due_days(log, since, self.up_to)
        if reason and not target.is_new:
            days = sorted({*days, *bigquery_tables.days_of(self.client, target.name)})
        if not days and not reason:
            return None
        if reason:
            logger.info(f"publishing all of {target.name}: {reason}")
        written = _Replacing(self, log, path, spec, target, [table_id, iso(since) if since else None])
        changed = sum(written.portion(portion) for portion in portions(days))
        logger.info(
            f"{target.name}: {len(days)} days replaced, {changed} rows taken out or put in",
            extra={"table": target.name, "days": len(days), "rows": changed},
        )
        entry = PublishedTable(
            table=path,
            table_id=table_id,
            published=target.name,
            published_id=target.created,
            recorded_up_to=self.up_to,
            rebuilt=reason or None,
            days=len(days),
            changed=changed,
            jobs=tuple(written.job_ids),
        )
        return Written(entry, written.loads)


@dataclass(frozen=True)
class _Replacing:
    """One table's days, a portion at a time."""

    work: _Work
    log: FeatureLog
    path: str
    spec: FeatureTable
    target: Published
    inputs: list[str | None]
    loads: list[Load] = field(default_factory=list)
    job_ids: list[str] = field(default_factory=list)

    def portion(self, portion: list[DayRange]) -> int:
        """How many rows it took out and put in."""
        files = files_of(self.log, portion, self.work.up_to)
        load = Load(self.work.client, self.work.warehouse, self.work.settings, self._key(portion, files))
        self.loads.append(load)
        staged = load.run(self.log, self.path, files)
        # A column that the spec has gained is in the log from the next ingest on; until then it is null.
        columns = [
            n for n in statements.columns_of(self.work.source, self.spec) if n in self.log.schema.names
        ]
        sql = statements.replace_days(
            self.target.name, staged, self.spec.keys, columns, portion, self.work.up_to
        )
        job = bigquery_jobs.run_once(self.work.client, f"{load.key}-replace", partial(self._submit, sql))
        return int(job.num_dml_affected_rows or 0)

    def _submit(self, sql: str, job_id: str) -> Any:
        # Announced before it starts: whoever comes after an attempt that died ends it first.
        self.job_ids.append(job_id)
        self.work.held.announce(self.job_ids)
        return self.work.client.query(sql, job_id=job_id, job_retry=None)

    def _key(self, portion: list[DayRange], files: list[str]) -> str:
        """Of what is to be done, not of who does it: the name of the staging table and the stem of the job ids."""
        document: list[Any] = [
            self.target.name,
            self.target.created,
            *self.inputs,
            iso(self.work.up_to),
            files,
        ]
        document += [[str(each.first), str(each.last)] for each in portion]
        document += [statements.columns_of(self.work.source, self.spec)]
        document += [self.work.attempt] if self.work.full else []
        return f"provender_{digest(document)[:24]}"


def why_rebuild(last: PublishedTable | None, table_id: str, target: Published) -> str:
    """Empty if what is published can be continued. ``last``: the entry of the manifest that wrote the table last."""
    if last is None:
        return "it was never published"
    if last.published != target.name or last.published_id != target.created:
        return "the table in BigQuery was recreated"
    if last.table_id != table_id:
        return "the feature table was recreated"
    return ""


def _draft(attempt: str, started: datetime, up_to: datetime, done: list[Written]) -> Draft:
    entries = [written.entry for written in done]
    notes = [f"{entry.published} was published whole: {entry.rebuilt}" for entry in entries if entry.rebuilt]
    return Draft(
        Job.PUBLISH,
        attempt,
        Kind.MANIFEST if entries else Kind.RECEIPT,
        partitions={},
        started=started,
        recorded_up_to=up_to,
        wrote=entries,
        counts={name: sum(getattr(entry, name) for entry in entries) for name in ("days", "changed")},
        notes=notes,
    )

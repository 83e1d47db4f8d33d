"""A DataFrame into a source, on the path that files take: staged, checked, ingested, recorded."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from provender.contract.arrow import Ints
from provender.contract.period import period_starts
from provender.contract.times import read_times
from provender.errors import ContractError, PartitionError
from provender.ingestion.frame_table import table_of
from provender.intervals import Partition, to_micros
from provender.ledger import Ledger
from provender.settings import load_settings
from provender.specs.catalog import Catalog
from provender.specs.source import Source
from provender.staging import stage
from provender.staging.additions import added_name, staged_files
from provender.staging.raw_file import RawFile, local_file
from provender.storage import storage_at

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ingest(
    source: str,
    frame: pd.DataFrame | pa.Table,
    *,
    partition: str | None = None,
    add: bool = False,
    allow_withdrawal: bool = False,
    repo: str | Path | None = None,
) -> dict[str, int]:
    """Stages and ingests ``frame`` as a delivery of ``source``; returns the manifest's counts.

    ``frame`` has the raw columns of the source's spec. Its rows replace the partitions that their event
    timestamps lie in, as a file would (or the one named by ``partition``, for rows that come late). Event timestamps
    are read by the spec's ``format`` and ``zone``, as in a file. Rows whose event timestamp cannot be read, or lies in
    a partition that has not ended (or is after the source's ``end``), go to the newest of those partitions, to be
    quarantined there.

    ``add``: the rows stand beside what the partitions hold already, and beside files that are delivered later, until a
    frame replaces them. Adding the same frame again changes nothing.

    ``allow_withdrawal``: the frame may take back more rows than the source's ``violations.max_withdrawn_share``.

    Counts: ``staged``, ``accepted``, ``quarantined`` (rows), ``new``, ``corrected``, ``withdrawn``, ``unchanged``
    (feature rows). A frame that was ingested before gives zeros. Raises :class:`ContractError` for a frame that
    has no event timestamp column, no rows to tell its partition by, or columns of no one type, :class:`PartitionError`
    if none of its rows can be delivered yet, and what ``provender ingest`` raises.
    """
    from provender.ingestion.ingest import ingest as ingest_staged
    from provender.ingestion.row_counts import COUNTS

    settings = load_settings(repo)
    spec = Catalog.load(settings.repo).source(source)
    table = table_of(spec, frame)
    storage = storage_at(settings.storage_root)
    parts = _split(spec, table, partition, datetime.now(UTC))
    attempt = f"frame-{secrets.token_hex(6)}"

    @contextmanager
    def deliver(wanted: Partition) -> Iterator[dict[str, RawFile]]:
        with tempfile.TemporaryDirectory(prefix="provender-frame-") as folder:
            path = Path(folder) / "frame.parquet"
            _write(spec, parts[wanted], path)
            if not add:
                yield {path.name: local_file(path)}
                return
            held = Ledger(storage, spec.name).state().staged.get(wanted.key)
            name = added_name(hashlib.sha256(path.read_bytes()).hexdigest())
            yield {**staged_files(storage, held), name: local_file(path)}

    stage(settings, spec, sorted(parts), attempt, deliver)
    names = (settings, source, sorted(parts), attempt)
    manifest = ingest_staged(*names, allow_withdrawal=allow_withdrawal)
    return dict.fromkeys(COUNTS, 0) | manifest.counts


def _write(spec: Source, table: pa.Table, path: Path) -> None:
    try:
        pq.write_table(table, path)
    except pa.ArrowException as error:
        raise ContractError(
            f"{spec.name}: the frame cannot be written as Parquet: {str(error).splitlines()[0][:300]}",
            not_affected="everything",
            remedy="give its columns types that Parquet has (frame.astype)",
            source=spec.name,
        ) from error


def _split(spec: Source, table: pa.Table, key: str | None, now: datetime) -> dict[Partition, pa.Table]:
    """The rows of each partition. Rows that have none go where the contract quarantines them: those whose time cannot
    be read, or lies past what can be delivered at ``now``, to the newest of the frame's partitions, those from before
    the source's ``start`` to the oldest."""
    if key is not None:
        return {Partition.parse(spec.cadence, key): table}
    times = read_times(_event_column(spec, table), spec.event_timestamp)
    if not times.readable.any():
        raise ContractError(
            f"{spec.name}: no row of the frame has an event timestamp that can be read"
            if table.num_rows
            else f"{spec.name}: the frame has no rows, so nothing says which partition it is",
            not_affected="everything",
            remedy=f"look at column {spec.event_timestamp.column!r}, or name the partition",
            source=spec.name,
        )
    starts = period_starts(times.micros, spec.cadence)
    first, last = (to_micros(partition.start) for partition in _deliverable(spec, now))
    placed = starts[(starts >= first) & (starts <= last)]
    if not len(placed):
        raise _nowhere(spec, starts[times.readable], now)
    before = times.readable & (starts < first)
    starts = np.where(
        before, placed.min(), np.where((starts < first) | (starts > last), placed.max(), starts)
    )
    return {
        Partition.holding(spec.cadence, _EPOCH + timedelta(microseconds=int(start))): table.take(
            np.flatnonzero(starts == start)
        )
        for start in np.unique(starts)
    }


def _event_column(spec: Source, table: pa.Table) -> pa.ChunkedArray:
    wanted = spec.event_timestamp.column.lower()
    return next(table.column(name) for name in table.column_names if name.lower() == wanted)


def _deliverable(spec: Source, now: datetime) -> tuple[Partition, Partition]:
    """The first and the last partition of the source that has ended."""
    end = spec.cadence.floor(now)
    if spec.end is not None:
        end = min(end, spec.end)
    return spec.first_partition, Partition.holding(spec.cadence, end - timedelta(microseconds=1))


def _nowhere(spec: Source, starts: Ints, now: datetime) -> PartitionError:
    first, last = _deliverable(spec, now)
    oldest, newest = (_EPOCH + timedelta(microseconds=int(start)) for start in (starts.min(), starts.max()))
    what = f"{oldest:%Y-%m-%d}" + (f" to {newest:%Y-%m-%d}" if newest.date() != oldest.date() else "")
    return PartitionError(
        f"{spec.name}: the rows of the frame are of {what}, and no such partition can be delivered: "
        f"they go from {first.key} to {last.key}"
        if first <= last
        else f"{spec.name}: its first partition, {first.key}, has not ended",
        not_affected="everything",
        remedy=f"correct the times in {spec.event_timestamp.column!r}, deliver it when its period has ended, or change "
        f"start and end in sources/{spec.name}.yaml",
    )

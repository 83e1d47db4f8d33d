"""A DataFrame into a source, on the path that files take: staged, checked, ingested, recorded."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from provender.errors import ContractError
from provender.intervals import Partition
from provender.ledger import Ledger
from provender.ledger.progress import staged_partitions
from provender.settings import load_settings
from provender.specs.catalog import Catalog
from provender.specs.model import Source, Timestamp
from provender.staging import stage
from provender.staging.additions import added_name, staged_files
from provender.staging.raw_file import RawFile, local_file
from provender.storage import storage_at

_EPOCH_UNITS: dict[str, Literal["s", "ms", "us"]] = {"epoch_s": "s", "epoch_ms": "ms", "epoch_us": "us"}


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
    timestamps lie in, as a file would (or the one named by ``partition``, for rows that come late). Rows whose
    event timestamp cannot be read go to the newest of those partitions, to be quarantined there.

    ``add``: the rows stand beside what the partitions hold already, and beside files that are delivered later, until a
    frame replaces them. Adding the same frame again changes nothing.

    ``allow_withdrawal``: the frame may take back more rows than the source's ``violations.max_withdrawn_share``.

    Counts: ``staged``, ``accepted``, ``quarantined`` (rows), ``new``, ``corrected``, ``withdrawn``, ``unchanged``
    (feature rows). A frame that was ingested before gives zeros. Raises :class:`ContractError` for a frame that
    has no event timestamp column or cannot be written as Parquet, and what ``provender ingest`` raises.
    """
    from provender.spark.ingest import ingest as ingest_staged
    from provender.spark.tally import COUNTS

    settings = load_settings(repo)
    spec = Catalog.load(settings.repo).source(source)
    table = _as_table(spec, frame)
    storage = storage_at(settings.storage_root)
    parts = _split(spec, table, partition)
    attempt = f"frame-{secrets.token_hex(6)}"

    @contextmanager
    def deliver(wanted: Partition) -> Iterator[dict[str, RawFile]]:
        with tempfile.TemporaryDirectory(prefix="provender-frame-") as folder:
            path = Path(folder) / "frame.parquet"
            pq.write_table(parts[wanted], path, coerce_timestamps="us", allow_truncated_timestamps=True)
            if not add:
                yield {path.name: local_file(path)}
                return
            held = staged_partitions(Ledger(storage, spec.name)).get(wanted.key)
            name = added_name(hashlib.sha256(path.read_bytes()).hexdigest())
            yield {**staged_files(storage, held), name: local_file(path)}

    stage(settings, spec, sorted(parts), attempt, deliver)
    names = (settings, source, sorted(parts), attempt)
    manifest = ingest_staged(*names, say=lambda _: None, allow_withdrawal=allow_withdrawal)
    return dict.fromkeys(COUNTS, 0) | manifest.counts


def _as_table(spec: Source, frame: pd.DataFrame | pa.Table) -> pa.Table:
    try:
        table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ContractError(
            f"{spec.name}: the frame mixes types in a column: {error}",
            unharmed="everything",
            remedy="give the column one type (frame.astype)",
        ) from error
    if spec.event_timestamp.column not in table.column_names:
        raise ContractError(
            f"{spec.name}: the frame has no column {spec.event_timestamp.column!r}; it has "
            f"{', '.join(table.column_names)}",
            unharmed="everything",
            remedy="name the columns as in the source's spec",
        )
    return table.replace_schema_metadata(None)


def _split(spec: Source, table: pa.Table, key: str | None) -> dict[Partition, pa.Table]:
    if key is not None:
        return {Partition.parse(spec.cadence, key): table}
    moments = _event_times(spec.event_timestamp, table.column(spec.event_timestamp.column).to_pandas())
    if not moments.notna().any():
        raise ContractError(
            f"{spec.name}: no row of the frame has an event timestamp that can be read",
            unharmed="everything",
            remedy=f"look at column {spec.event_timestamp.column!r}, or name the partition",
        )
    starts = moments.map(
        lambda m: Partition.holding(spec.cadence, m.to_pydatetime()).start, na_action="ignore"
    )
    starts = starts.fillna(starts.max())
    return {
        Partition.holding(spec.cadence, start.to_pydatetime()): table.take(np.flatnonzero(starts == start))
        for start in sorted(starts.unique())
    }


def _event_times(how: Timestamp, column: pd.Series[Any]) -> pd.Series[Any]:
    """UTC times; NaT where a value cannot be read. The contract decides about those, and reads all of them again."""
    if how.format in _EPOCH_UNITS:
        numbers = pd.to_numeric(column, errors="coerce")
        unit = _EPOCH_UNITS[how.format]
        return pd.to_datetime(numbers, unit=unit, utc=True, errors="coerce")
    times = column if pd.api.types.is_datetime64_any_dtype(column) else _from_text(how, column)
    if times.dt.tz is None:
        times = times.dt.tz_localize(how.zone, ambiguous=True, nonexistent="NaT")
    utc: pd.Series[Any] = times.dt.tz_convert("UTC")
    return utc


def _from_text(how: Timestamp, column: pd.Series[Any]) -> pd.Series[Any]:
    is_utc, form = how.zone == "UTC", "ISO8601" if how.format == "iso" else "mixed"
    times: pd.Series[Any] = pd.to_datetime(column, utc=is_utc, errors="coerce", format=form)
    return times

"""Raw rows of one partition, selected by a time column from a location that holds all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from provender.errors import ContractError, SourceNotReadyError
from provender.intervals import Partition
from provender.settings import Settings
from provender.specs.model import Source
from provender.staging.locate import raw_location

_BATCH_ROWS = 65_536


@contextmanager
def selected_rows(settings: Settings, source: Source, partition: Partition) -> Iterator[Path]:
    """A temporary Parquet file with the rows whose time column lies in the partition's ``[start, end)``.

    Columns and types are the location's own. Rows stream by, in batches. A partition without rows gives a
    file without rows. Raises :class:`SourceNotReadyError` if the location is not there.
    """
    location = raw_location(settings, source, partition)
    if not Path(location).exists():
        raise SourceNotReadyError(
            f"the raw rows of {source.name} are not there", where=location, remedy="deliver them, then run again"
        )
    dataset = ds.dataset(location, format=_format(source))
    column = source.raw.time_column
    if column is None or column not in dataset.schema.names:
        raise ContractError(f"{source.name}: no time column {column!r} in the raw rows", where=location)
    with tempfile.TemporaryDirectory(prefix="provender-select-") as folder:
        path = Path(folder) / "selected.parquet"
        with pq.ParquetWriter(path, dataset.schema) as writer:
            chosen = _within(dataset.schema.field(column), partition)
            for batch in dataset.to_batches(filter=chosen, batch_size=_BATCH_ROWS):
                if batch.num_rows:
                    writer.write_batch(batch)
        yield path


def _format(source: Source) -> Any:
    if source.raw.format == "csv":
        times = source.raw.time_column or ""
        # Times stay text: Arrow must not guess zones, and ISO text sorts as time does.
        convert = pa.csv.ConvertOptions(column_types={times: pa.string()}) if times else None
        return ds.CsvFileFormat(convert_options=convert)
    return source.raw.format


def _within(field: pa.Field, partition: Partition) -> Any:
    column = ds.field(field.name)
    if pa.types.is_timestamp(field.type):
        low, high = (pa.scalar(moment, pa.timestamp("us", "UTC")) for moment in (partition.start, partition.end))
        column = column.cast(pa.timestamp("us", "UTC"))
        return (column >= low) & (column < high)
    if pa.types.is_date(field.type):
        return (column >= partition.start.date()) & (column < partition.end.date())
    moment = pc.strptime(pc.utf8_slice_codeunits(column, 0, 19), "%Y-%m-%dT%H:%M:%S", "us")
    low, high = (pa.scalar(m.replace(tzinfo=None), pa.timestamp("us")) for m in (partition.start, partition.end))
    return (moment >= low) & (moment < high)

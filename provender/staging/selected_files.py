"""The Parquet files of selected rows: one for each set of columns, and one for rows that have no fields."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from provender.records.parquet_records import CUT_BY, MALFORMED
from provender.staging.groups import write_full_groups

MALFORMED_FILE = "selected-malformed.parquet"


class SelectedFiles:
    """Writes ``selected.parquet``, for other columns ``selected-2.parquet`` and so on, and rows that could not be split
    into fields to :data:`MALFORMED_FILE`, with their columns null. Their bytes depend on the rows alone. ``paths``:
    what was written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outputs: dict[str, _Output] = {}
        self._malformed: dict[str, _Output] = {}

    def __enter__(self) -> SelectedFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for output in self._all():
            output.close()
        if kind is None and not self._outputs:
            # Files of no bytes at all: no columns either, which is a partition without rows.
            (self._folder / "selected.parquet").touch()

    @property
    def paths(self) -> list[Path]:
        written = [output.path for output in self._all()]
        return written or [self._folder / "selected.parquet"]

    def write(self, fields: pa.RecordBatch, malformed: pa.Array) -> None:
        """Adds rows. Where ``malformed`` is text, the row is that text."""
        is_whole = pc.is_null(malformed)
        rows = pa.Table.from_batches([fields]).filter(is_whole)
        kind = str(rows.schema)
        if kind not in self._outputs and (rows.num_rows or not self._outputs):
            name = f"selected-{len(self._outputs) + 1}.parquet" if self._outputs else "selected.parquet"
            self._outputs[kind] = _Output(self._folder / name, rows.schema)
        if kind in self._outputs:
            self._outputs[kind].write(rows)
        is_malformed = pc.invert(is_whole)
        texts = malformed.filter(is_malformed)
        if len(texts):
            table = pa.Table.from_batches([fields]).filter(is_malformed).append_column(MALFORMED, texts)
            table = table.replace_schema_metadata({CUT_BY: b"1"})
            kind = str(table.schema)
            if kind not in self._malformed:
                number = len(self._malformed) + 1
                name = f"selected-malformed-{number}.parquet" if self._malformed else MALFORMED_FILE
                self._malformed[kind] = _Output(self._folder / name, table.schema)
            self._malformed[kind].write(table)

    def _all(self) -> list[_Output]:
        return [*self._outputs.values(), *self._malformed.values()]


class _Output:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._writer = pq.ParquetWriter(path, schema)
        self._waiting: list[pa.Table] = []

    def write(self, rows: pa.Table) -> None:
        self._waiting = write_full_groups(self._writer, [*self._waiting, rows])

    def close(self) -> None:
        for table in self._waiting:
            self._writer.write_table(table)
        self._writer.close()

"""The typed seam between readers and the contract."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class RecordBatch:
    """Some records of one file, in the file's order.

    The three parts have the same length. Of CSV and JSON every field is text (``string``), as it was delivered: an
    absent field, an empty unquoted CSV field and a JSON null are null. Parquet, Avro, DataFrames and databases keep
    their own Arrow types.
    """

    fields: pa.RecordBatch
    """A column for each name that the file has. Names are as delivered, and distinct."""
    numbers: pa.Array
    """``int64``: each record's number in its file, from 1; a CSV header is not counted."""
    malformed: pa.Array
    """``string``: null, or the record as it was delivered (cut to 64 KiB) where it cannot be split into fields: too
    few or too many, no JSON object, text after one. Its fields are null then."""

    def __post_init__(self) -> None:
        if not self.fields.num_rows == len(self.numbers) == len(self.malformed):
            raise ValueError("a batch's fields, numbers and malformed records differ in length")

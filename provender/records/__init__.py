"""Records: what a raw delivery holds, read once, by one reader per format.

    raw file (CSV, JSON lines, Parquet, Avro; compressed or not)  ─▶  batches of records  ─▶  provender.contract

Everything that looks at raw rows (the cut by a time column, DataFrames, databases, the ingest on one machine or on
Spark's executors) reads them here, so that they agree on what a record and a field is.
"""

from provender.records.batch import RecordBatch

__all__ = ["RecordBatch"]

"""A record as it was delivered, as JSON: what the quarantine keeps."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pyarrow as pa

from provender.contract.arrow import Ints, plain
from provender.records.batch import RecordBatch

MOST_CHARACTERS = 1 << 16


def as_delivered(batch: RecordBatch, chosen: Ints) -> pa.Array:
    """One text for each of the records at ``chosen``, at most 64 Ki characters long: an object of ``_record`` (the
    record's number in its file), the file's columns (nulls left out) and, of a malformed record, ``_line``."""
    at = pa.array(chosen)
    fields = batch.fields
    columns = {
        name: _plain_values(plain(fields.column(number)).take(at))
        for number, name in enumerate(fields.schema.names)
    }
    lines, numbers = batch.malformed.take(at).to_pylist(), batch.numbers.take(at).to_pylist()
    texts = []
    for row in range(len(chosen)):
        record = {"_record": numbers[row]} if numbers[row] is not None else {}
        record |= {name: values[row] for name, values in columns.items() if values[row] is not None}
        if lines[row] is not None:
            record["_line"] = lines[row]
        texts.append(_json(record))
    return pa.array(texts, pa.string())


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=_other)[:MOST_CHARACTERS]


def _plain_values(column: pa.Array) -> list[Any]:
    """Values that JSON has: times, which Python may not have either, as Arrow writes them."""
    kind = column.type
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
        try:
            return list(column.cast(pa.string()).to_pylist())
        except pa.ArrowException:
            column = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    try:
        return [_finite(value) for value in column.to_pylist()]
    except (ValueError, OverflowError):  # a time within a list, say, that Python has no value for
        return [str(value) for value in column]


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _other(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)

"""A version's value, computed again from the raw rows by the code that an ingest runs, and compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from provender.errors import ProvenderError
from provender.explain.ledger_facts import Recorder
from provender.explain.raw_rows import RawRows, RawRowsGoneError, read_raw, rows_of_key
from provender.explain.spark_states import states_by_sql
from provender.explain.states import State, Task, as_it_is
from provender.explain.versions import Version
from provender.ingestion.attempt import partitions_of
from provender.intervals import as_utc
from provender.specs.hashing import data_hash
from provender.specs.source import Source


class Outcome(StrEnum):
    """What came of computing a value again."""

    EQUAL = "equal"
    DIFFERENT = "different"
    NOT_POSSIBLE = "not_possible"
    """``why`` says why."""


@dataclass(frozen=True)
class Recomputed:
    """A value computed again. ``rows``: what it was computed from, where they could be read."""

    outcome: Outcome
    state: State | None = None
    why: str = ""
    rows: RawRows | None = None


def recompute(task: Task, version: Version, *, is_current: bool) -> Recomputed:
    """Compute a version's value again from the raw rows that it was made of.

    A version that is current is compared with what the newest raw rows say; one that was superseded with what the raw
    rows said right after it was recorded. Nothing is written. Engine failures are told, not raised: the rest of an
    explanation stands without this.
    """
    reference = task.facts.newest if is_current else task.facts.recorder(version.recorded)
    if reference is None:
        return Recomputed(Outcome.NOT_POSSIBLE, why="no manifest tells of the raw rows that it was made of")
    raw_version = None if is_current else reference.raw_version
    try:
        rows = read_raw(task.storage, task.source, version.period, raw_version)
    except RawRowsGoneError as gone:
        why = f"the raw table as of manifest {reference.manifest} is not there any more: {gone}"
        return Recomputed(Outcome.NOT_POSSIBLE, why=why)
    of_key = rows_of_key(task.source, task.table, rows, task.keys)
    if why := _other_definition(task, rows, reference, is_current=is_current):
        return Recomputed(Outcome.NOT_POSSIBLE, why=why, rows=of_key)
    try:
        states = _states(task, version, rows, raw_version, reference)
    except ProvenderError as error:
        return Recomputed(Outcome.NOT_POSSIBLE, why=error.what, rows=of_key)
    state = _effective(states, None if is_current else version.created)
    equal = state.deleted == version.deleted and (state.deleted or same(state.value, version.value))
    return Recomputed(Outcome.EQUAL if equal else Outcome.DIFFERENT, state, rows=of_key)


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same bits as far as a reader can tell: NaN is NaN, 0.0 is not -0.0."""
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    return bool(left == right)


def _other_definition(task: Task, rows: pa.Table, reference: Recorder, *, is_current: bool) -> str:
    """Why today's definition is not the one that the version was made by; empty if it is."""
    today = data_hash(task.source, task.catalog.sql_texts(task.source.name))
    if not is_current:
        return "" if reference.spec == today else "the definition has changed since it was recorded"
    done = task.facts.ingested(reference.recorded)
    starts = {as_utc(start) for start in rows.column("_partition").to_pylist()}
    held = {key for key in done if _start(task.source, key) in starts}
    stale = sorted(key for key in held if done[key].spec != today)
    if not stale:
        return ""
    command = f"provender ingest {task.source.name} {stale[0]}"
    return f"the definition has changed and partition {stale[0]} is stale; run: {command}"


def _start(source: Source, key: str) -> datetime | None:
    return next((partition.start for partition in partitions_of(source, [key])), None)


def _states(
    task: Task, version: Version, rows: pa.Table, raw_version: int | None, reference: Recorder
) -> list[State]:
    if not task.table.is_derived:
        return as_it_is(rows_of_key(task.source, task.table, rows, task.keys).table, version, task.column)
    if not rows.num_rows:
        return []  # every raw row was taken back
    return states_by_sql(task, version, raw_version, reference)


def _effective(states: Sequence[State], up_to: datetime | None) -> State:
    """What holds at ``up_to`` (None: in the end)."""
    known = [s for s in states if up_to is None or (s.created is not None and s.created <= up_to)]
    return known[-1] if known else State(None, deleted=True)

"""Why two training sets differ: entities, data, definitions or code, and in which rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from provender.errors import TrainingSetError
from provender.intervals import iso
from provender.settings import Settings
from provender.training_sets.folder import TrainingSet
from provender.training_sets.lockfile import Inputs, LogRead
from provender.training_sets.newer import Kind, NewerVersion, newer_versions
from provender.training_sets.pairs import AFTER, BEFORE, Pairs, pair


class Cause(StrEnum):
    """What a training set is made of, and so what can make two differ."""

    ENTITIES = "entities"
    DATA = "data"
    DEFINITIONS = "definitions"
    CODE = "code"


@dataclass(frozen=True)
class Finding:
    """How one cause differs, and how many rows it explains."""

    cause: Cause
    text: str
    rows: int = 0


@dataclass(frozen=True)
class ChangedRow:
    """A row of both whose features differ."""

    entity: dict[str, Any]
    features: dict[str, tuple[Any, Any]]
    """Output to (before, after)."""
    versions: tuple[NewerVersion, ...]
    """What was recorded between the two reads and can have caused it; empty: it was no new data."""


@dataclass(frozen=True)
class Difference:
    """Everything that differs between two training sets."""

    before: TrainingSet
    after: TrainingSet
    findings: tuple[Finding, ...]
    pairs: Pairs
    versions: dict[int, tuple[NewerVersion, ...]]
    """By row of ``pairs.changed``."""
    notes: tuple[str, ...] = ()
    """Logs that cannot be asked any more."""

    @property
    def has_differences(self) -> bool:
        return self.before.lockfile.result.checksum != self.after.lockfile.result.checksum

    @property
    def causes(self) -> set[Cause]:
        """Those that explain some differing row."""
        return {finding.cause for finding in self.findings if finding.rows}

    def changed(self, limit: int) -> Iterator[ChangedRow]:
        """The first ``limit`` rows whose features differ, by time."""
        for number, row in enumerate(self.pairs.changed.slice(0, limit).to_pylist()):
            entity = {name: row[name] for name in self.pairs.entity_columns}
            cells = {name: (row[BEFORE + name], row[AFTER + name]) for name in self.pairs.outputs}
            differing = {name: (a, b) for name, (a, b) in cells.items() if a != b}
            yield ChangedRow(entity, differing, self.versions.get(number, ()))

    def text(self, limit: int = 10) -> str:
        """For a person, with ``limit`` rows of each kind."""
        return "\n".join(_lines(self, limit))


def diff(settings: Settings, before: TrainingSet, after: TrainingSet) -> Difference:
    """Compares inputs and rows. Names the versions behind changed values, where the logs are still those read.

    Raises :class:`TrainingSetError` for two sets that have no entity column in common.
    """
    a, b = before.lockfile.inputs, after.lockfile.inputs
    if not set(a.entities.columns) & set(b.entities.columns):
        raise TrainingSetError(
            f"{a.name} {a.id} and {b.name} {b.id} have no entity column in common",
            remedy="compare sets of one model",
        )
    pairs = pair(before, after)
    found: dict[int, tuple[NewerVersion, ...]] = {}
    notes = []
    for older, newer in _read_twice(a, b) if len(pairs.changed) else ():
        try:
            by_row = newer_versions(
                settings,
                newer,
                pairs.changed,
                a.event_timestamp,
                older.recorded_up_to,
                as_known=a.as_known and b.as_known,
            )
        except TrainingSetError as error:
            notes.append(f"{newer.view}: {error.what}")
            continue
        for number, versions in by_row.items():
            found[number] = found.get(number, ()) + tuple(versions)
    return Difference(before, after, tuple(_findings(a, b, pairs, found)), pairs, found, tuple(notes))


def _read_twice(a: Inputs, b: Inputs) -> Iterator[tuple[LogRead, LogRead]]:
    """Logs that both read, up to different moments: (the earlier read, the later one)."""
    for one, other in _common_logs(a, b):
        if one.recorded_up_to != other.recorded_up_to and one.table_id == other.table_id:
            yield (one, other) if one.recorded_up_to < other.recorded_up_to else (other, one)


def _common_logs(a: Inputs, b: Inputs) -> Iterator[tuple[LogRead, LogRead]]:
    others = {(log.view, tuple(log.keys)): log for log in b.logs}
    for log in a.logs:
        if (log.view, tuple(log.keys)) in others:
            yield log, others[log.view, tuple(log.keys)]


def _findings(
    a: Inputs, b: Inputs, pairs: Pairs, versions: dict[int, tuple[NewerVersion, ...]]
) -> Iterator[Finding]:
    of_definitions = {n for n, found in versions.items() if all(v.kind is Kind.RECOMPUTED for v in found)}
    of_data = len(versions) - len(of_definitions)
    left = len(pairs.changed) - of_data
    definitions = list(_definitions(a, b))
    yield Finding(Cause.ENTITIES, _entities(a, b), len(pairs.only_before) + len(pairs.only_after))
    yield Finding(Cause.DATA, "; ".join(_data(a, b)) or "the same logs, read up to the same moments", of_data)
    is_definition = bool(definitions or of_definitions)
    yield Finding(Cause.DEFINITIONS, "; ".join(definitions) or "the same", left if is_definition else 0)
    is_code = a.code != b.code
    code = f"{a.code} → {b.code}" if is_code else f"the same: {a.code}"
    yield Finding(Cause.CODE, code, left if is_code and not is_definition else 0)


def _entities(a: Inputs, b: Inputs) -> str:
    if a.entities.checksum == b.entities.checksum:
        return f"the same {a.entities.rows} rows"
    was, now = dict(a.entities.origin), dict(b.entities.origin)
    reasons = [f"other {name}" for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    why = ", ".join(reasons) or "from the same place, whose rows changed"
    return f"{a.entities.rows} → {b.entities.rows} rows ({why})"


def _data(a: Inputs, b: Inputs) -> Iterator[str]:
    for one, other in _common_logs(a, b):
        if one.table_id != other.table_id:
            yield f"{one.view}: table {one.source}.{one.table} was recreated"
        elif one.recorded_up_to != other.recorded_up_to:
            yield f"{one.view}: recorded up to {iso(one.recorded_up_to)} → {iso(other.recorded_up_to)}"


def _definitions(a: Inputs, b: Inputs) -> Iterator[str]:
    gone, new = (sorted(set(x.features) - set(y.features)) for x, y in ((a, b), (b, a)))
    yield from (f"without {name}" for name in gone)
    yield from (f"with {name}" for name in new)
    if a.as_known != b.as_known:
        yield f"as_known {a.as_known} → {b.as_known}".lower()
    for one, other in _common_logs(a, b):
        if one.definition != other.definition:
            yield f"{one.source}.{one.table} is defined otherwise"
        if one.ttl_seconds != other.ttl_seconds:
            yield f"ttl of {one.view} {one.ttl} → {other.ttl}"
        if dict(one.keys) != dict(other.keys):
            yield f"{one.view} is joined by other keys"


def _lines(found: Difference, limit: int) -> Iterator[str]:
    a, b, pairs = found.before.lockfile, found.after.lockfile, found.pairs
    names = f"{a.inputs.name} {a.id} and {b.inputs.name} {b.id}"
    yield f"{names} hold {'different' if found.has_differences else 'the same'} rows"
    for finding in found.findings:
        explains = f"  ← explains {finding.rows} rows" if finding.rows else ""
        yield f"  {finding.cause:<12} {finding.text}{explains}"
    yield from (f"  {note}" for note in found.notes)
    for label, rows in (("only in the first", pairs.only_before), ("only in the second", pairs.only_after)):
        if len(rows):
            yield f"{label}: {len(rows)} rows"
            yield from (f"  {_shown(row)}" for row in rows.slice(0, limit).to_pylist())
    if len(pairs.changed):
        counts = ", ".join(f"{name} {count}" for name, count in pairs.counts().items())
        yield f"other features: {len(pairs.changed)} rows ({counts})"
        for row in found.changed(limit):
            yield from _row_lines(row)


def _row_lines(row: ChangedRow) -> Iterator[str]:
    yield f"  {_shown(row.entity)}"
    yield from (f"    {name}: {_value(a)} → {_value(b)}" for name, (a, b) in row.features.items())
    yield from (f"    because {version}" for version in row.versions)


def _shown(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in row.items())


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    return iso(value).removesuffix(".000000Z") if hasattr(value, "tzinfo") else str(value)

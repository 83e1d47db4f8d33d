"""Builds a training set again from its lockfile, and says whether it came out the same."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from provender.errors import ProvenderError, TransientError
from provender.ledger.ledger import code_version
from provender.settings import Settings
from provender.training_sets.checksum import table_checksum
from provender.training_sets.folder import TrainingSet
from provender.training_sets.join import joined
from provender.training_sets.lockfile import StoredTable

_NOT_AFFECTED = "nothing was written"


@dataclass(frozen=True)
class Verified:
    """What came of it. ``str()`` is the message for a person."""

    training_set: TrainingSet
    agrees: bool
    findings: tuple[str, ...]

    def __str__(self) -> str:
        inputs = self.training_set.lockfile.inputs
        verdict = "agrees" if self.agrees else "does NOT agree"
        head = f"{inputs.name} {inputs.id} {verdict} with its lockfile"
        return "\n".join([head, *(f"  {finding}" for finding in self.findings)])


def verify(settings: Settings, training_set: TrainingSet) -> Verified:
    """Reads the staged entity rows and the logs as they stood, joins them again, and compares checksums.

    What cannot be built again (a table recreated, a column gone, a file missing) is a finding with its reason.
    Raises only :class:`TransientError`: then nothing is known.
    """
    try:
        findings = _damaged(training_set) or _rebuilt(settings, training_set)
    except TransientError:
        raise
    except ProvenderError as error:
        return Verified(training_set, False, (f"it cannot be built again: {error}",))
    if findings:
        return Verified(training_set, False, tuple(findings))
    result = training_set.lockfile.result
    return Verified(training_set, True, (f"{result.rows} rows built again, {result.checksum}",))


def _damaged(training_set: TrainingSet) -> list[str]:
    lockfile = training_set.lockfile
    parts = ((lockfile.inputs.entities, training_set.entities()), (lockfile.result, training_set.data()))
    return [finding for stored, table in parts if (finding := _compared(stored, table, training_set.uri))]


def _rebuilt(settings: Settings, training_set: TrainingSet) -> list[str]:
    lockfile = training_set.lockfile
    entities = training_set.entities()
    found = joined(settings, entities, lockfile.inputs)
    again = found.select([*entities.column_names, *lockfile.inputs.outputs])
    finding = _compared(lockfile.result, again, "built again")
    if not finding:
        return []
    return [finding, *_changed_columns(training_set.data(), again), *_other_code(lockfile.inputs.code)]


def _compared(stored: StoredTable, table: pa.Table, where: str) -> str:
    """What differs from what the lockfile says, in a sentence; empty if nothing does."""
    columns = {field.name: str(field.type) for field in table.schema}
    if columns != dict(stored.columns):
        differing = sorted(set(columns.items()) ^ set(stored.columns.items()))
        return f"{stored.file} ({where}): other columns: {', '.join(f'{n} {k}' for n, k in differing)}"
    if len(table) != stored.rows:
        return f"{stored.file} ({where}): {len(table)} rows, the lockfile says {stored.rows}"
    checksum = table_checksum(table)
    if checksum != stored.checksum:
        return f"{stored.file} ({where}): {checksum}, the lockfile says {stored.checksum}"
    return ""


def _changed_columns(data: pa.Table, again: pa.Table) -> list[str]:
    changed = [name for name in data.column_names if not data.column(name).equals(again.column(name))]
    return [f"columns that differ: {', '.join(changed)}"] if changed else []


def _other_code(code: str) -> list[str]:
    return [] if code == code_version() else [f"it was built by {code}, this is {code_version()}"]

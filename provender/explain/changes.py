"""The versions of one event timestamp in order, each with what made it differ from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from provender.explain.ledger_facts import LedgerFacts, Recorder
from provender.explain.versions import Version
from provender.intervals import Partition
from provender.specs.source import Source


@dataclass(frozen=True)
class Change:
    """A version, who recorded it, and why it is there."""

    version: Version
    recorder: Recorder | None
    why: str


def changes(source: Source, facts: LedgerFacts, versions: Sequence[Version], event: datetime) -> list[Change]:
    """Tell the versions of ``event``, oldest first."""
    found: list[Change] = []
    for version in [each for each in versions if each.event == event]:
        recorder = facts.recorder(version.recorded)
        before = found[-1] if found else None
        found.append(Change(version, recorder, _why(source, version, recorder, before)))
    return found


def _why(source: Source, version: Version, recorder: Recorder | None, before: Change | None) -> str:
    came = _what_came(source, version, recorder)
    if version.deleted:
        return f"withdrawn: {came} has no raw row for it any more"
    if before is None:
        return f"first known with {came}"
    if before.version.deleted:
        return f"there again: {came} brought it back"
    if _is_redefined(before.recorder, recorder):
        return f"computed again: the definition changed, {came}"
    return f"corrected by {came}"


def _is_redefined(before: Recorder | None, now: Recorder | None) -> bool:
    return before is not None and now is not None and before.spec != now.spec


def _what_came(source: Source, version: Version, recorder: Recorder | None) -> str:
    """The delivery that a version came with, in words."""
    if recorder is None:
        return "an attempt without a manifest"
    delivery = recorder.delivery_at(version.created)
    if delivery is None and len(recorder.delivered) == 1:
        delivery = recorder.delivered[0]
    if delivery is None:
        return f"attempt {recorder.attempt} over {len(recorder.delivered)} partitions"
    period = Partition.holding(source.cadence, version.period).key
    late = f", late for period {period}" if delivery.partition != period else ""
    return f"delivery {delivery.delivery} of partition {delivery.partition}{late}"

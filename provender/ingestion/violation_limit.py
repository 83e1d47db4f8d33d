"""How much of a partition may break its contract before the whole run is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame

from provender.errors import ContractError
from provender.ingestion import row_counts
from provender.ingestion.attempt import Attempt
from provender.ingestion.row_counts import Tally
from provender.ledger.records import StagedPartition
from provender.records import hint
from provender.specs.source import Source


def refuse_past_limit(work: Attempt, rows: DataFrame, counted: Tally) -> None:
    """Raise :class:`ContractError` with counts, first examples and, where the files seem to be written by other
    options than the spec's, the option that would read them."""
    limit = 0.0 if work.source.violations.action == "fail" else work.source.violations.max_share
    # Divided, not multiplied: 29 of 100 is 0.29 exactly as the spec writes it.
    broken = [
        key
        for key, entry in counted.partitions.items()
        if entry["quarantined"] and entry["quarantined"] / entry["staged"] > limit
    ]
    if not broken:
        return
    lines = [
        f"{key}: {counted.partitions[key]['quarantined']} of {counted.partitions[key]['staged']} rows "
        f"({', '.join(f'{reason} {n}' for reason, n in counted.partitions[key]['reasons'].items())})"
        for key in broken[:10]
    ]
    examples = [
        f"    {_file_name(r)}: {', '.join(r['_reasons'])}: {r['_raw'][:300]}"
        for r in row_counts.examples(rows, work.source, broken)
    ]
    raise ContractError(
        f"{work.source.name} breaks its contract: more than {limit:.1%} of the rows\n    "
        + "\n    ".join(lines)
        + "\n  first examples:\n"
        + "\n".join(examples),
        where=", ".join(work.storage.uri(work.staged[key].folder) for key in broken[:3]),
        not_affected="the staged files and every table: nothing of this attempt was written",
        remedy=_hints(work.source, [work.staged[key] for key in broken])
        + "deliver corrected files, or change columns or violations.max_share in "
        f"sources/{work.source.name}.yaml, then run the same command again",
        source=work.source.name,
        partitions=tuple(broken),
        reasons=_summed(counted.partitions[key]["reasons"] for key in broken),
    )


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def _hints(source: Source, staged: list[StagedPartition]) -> str:
    """What would read the files, where they are written by other options than the spec's."""
    found = {hint(file.to_document(), source): file.name for entry in staged for file in entry.files}
    return "".join(f"{name}: {text}; or " for text, name in found.items() if text)


def _file_name(row: Any) -> str:
    return unquote(str(row["_file"]).rsplit("/", 1)[-1])

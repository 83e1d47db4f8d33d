"""``provender quarantine``: rows that broke the contract, and the command that admits them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from provender.cli import options
from provender.cli.partitions import Asked, add_arguments, asked
from provender.errors import PartitionError
from provender.intervals import Partition, iso
from provender.ledger import Draft, Job, Kind, Ledger
from provender.ledger.records import AdmittedPartition, IngestedPartition
from provender.ledger.status import Quarantined
from provender.storage import storage_at
from provender.storage.readers import delta_options

HELP = "list rows that broke their source's contract, or admit them"
_SHOWN_ROWS = 20


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``quarantine list SOURCE [--rows N] [--json]`` and ``quarantine admit SOURCE PARTITIONS --reason R [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("quarantine", help=HELP, description=HELP)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="rows by partition and reason, and the first of them")
    add_arguments(listing, partitions=False)
    options.add_rows(listing, _SHOWN_ROWS)
    admitting = actions.add_parser("admit", help="let rows with the given reasons in, and ingest them")
    add_arguments(admitting)
    admitting.add_argument(
        "--reason",
        action="append",
        required=True,
        metavar="REASON",
        help="as listed, e.g. too_late or above_max:fare",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises :class:`PartitionError` for a reason that cannot be admitted or a partition that is not ingested."""
    wanted = asked(args)
    if args.action == "list":
        return _list(wanted, args.rows, as_json=args.json)
    return _admit(wanted, args.reason, as_json=args.json)


def _list(wanted: Asked, shown: int, *, as_json: bool) -> int:
    ledger = Ledger(storage_at(wanted.settings.storage_root), wanted.source.name)
    state = ledger.state()
    found = list(Quarantined(state))
    if as_json:
        options.print_json(_document(wanted, {key: state.ingested[key] for key in found}, shown))
        return 0
    if not found:
        print(f"no row of {wanted.source.name} is in quarantine")
        return 0
    for key in found:
        done = state.ingested[key]
        reasons = ", ".join(f"{reason} {count}" for reason, count in done.reasons.items())
        print(f"{key}  {done.quarantined} of {done.staged} rows: {reasons}")
    print()
    for row in _rows(wanted, shown):
        print(f"{row['_partition']:%Y-%m-%dT%H:%M}  {', '.join(row['reasons'])}  {row['raw'][:200]}")
    print(f"\nadmit with: provender quarantine admit {wanted.source.name} {found[0]} --reason REASON")
    return 0


def _document(wanted: Asked, found: Mapping[str, IngestedPartition], shown: int) -> dict[str, Any]:
    """For machines: partition key to counts; the first rows with partition (its start), reasons and raw text."""
    counts = {
        key: {"staged": done.staged, "quarantined": done.quarantined, "reasons": dict(done.reasons)}
        for key, done in sorted(found.items())
    }
    rows = [
        {"partition": iso(row["_partition"]), "reasons": row["reasons"], "raw": row["raw"]}
        for row in (_rows(wanted, shown) if found else ())
    ]
    return {"source": wanted.source.name, "partitions": counts, "rows": rows}


def _rows(wanted: Asked, limit: int) -> list[dict[str, Any]]:
    import deltalake

    uri = storage_at(wanted.settings.storage_root).uri(f"quarantine/{wanted.source.name}")
    rows: list[dict[str, Any]] = (
        deltalake.DeltaTable(uri, storage_options=delta_options(uri))
        .to_pyarrow_dataset()
        .head(limit, use_threads=False)
        .to_pylist()
    )
    return rows


def _admit(wanted: Asked, reasons: list[str], *, as_json: bool) -> int:
    from provender.cli.partitions import show
    from provender.contract.check import WAIVABLE
    from provender.ingestion.ingest import ingest

    for reason in reasons:
        if reason.split(":")[0] not in WAIVABLE:
            raise PartitionError(
                f"rows with the reason {reason!r} cannot be admitted: there is no value that could be",
                remedy=f"deliver corrected rows; what can be admitted: {', '.join(WAIVABLE)}",
            )
    storage = storage_at(wanted.settings.storage_root)
    ledger = Ledger(storage, wanted.source.name)
    _require_ingested(wanted, ledger)
    before = ledger.state().admitted
    admitted = {
        p.key: AdmittedPartition(reasons=tuple(sorted({*before.get(p.key, ()), *reasons})))
        for p in wanted.partitions
    }
    ledger.commit(Draft(Job.ADMIT, wanted.attempt, Kind.MANIFEST, admitted, started=datetime.now(UTC)))
    with options.progress_aside(as_json):
        manifest = ingest(wanted.settings, wanted.source.name, wanted.partitions, wanted.attempt)
    show(manifest, as_json=as_json)
    if not as_json:
        print(f"the online store follows with: provender materialize {wanted.source.name}")
    return 0


def _require_ingested(wanted: Asked, ledger: Ledger) -> None:
    done = ledger.state().ingested
    absent: list[Partition] = [partition for partition in wanted.partitions if partition.key not in done]
    if absent:
        raise PartitionError(
            f"{wanted.source.name} {absent[0].key} is not ingested, so nothing of it is in quarantine",
            remedy=f"provender quarantine list {wanted.source.name}",
            partitions=tuple(partition.key for partition in absent),
        )

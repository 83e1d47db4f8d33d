"""``provender quarantine``: rows that broke the contract, and the command that admits them."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from provender.cli.partitions import Asked, add_arguments, asked
from provender.errors import PartitionError
from provender.intervals import Partition
from provender.ledger import Draft, Job, Kind, Ledger
from provender.ledger.records import AdmittedPartition
from provender.ledger.status import Quarantined
from provender.storage import storage_at
from provender.storage.readers import delta_options

HELP = "list rows that broke their source's contract, or admit them"
_SHOWN_ROWS = 20


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``quarantine list SOURCE`` and ``quarantine admit SOURCE PARTITIONS --reason R``."""
    parser: argparse.ArgumentParser = commands.add_parser("quarantine", help=HELP, description=HELP)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="rows by partition and reason, and the first of them")
    add_arguments(listing, partitions=False)
    listing.add_argument("--rows", type=int, default=_SHOWN_ROWS, help="how many rows to show (default: 20)")
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
    return _list(wanted, args.rows) if args.action == "list" else _admit(wanted, args.reason)


def _list(wanted: Asked, shown: int) -> int:
    ledger = Ledger(storage_at(wanted.settings.storage_root), wanted.source.name)
    state = ledger.state()
    found = list(Quarantined(state))
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


def _admit(wanted: Asked, reasons: list[str]) -> int:
    from provender.cli.partitions import show
    from provender.contract.check import WAIVABLE
    from provender.spark.ingest import ingest

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
    show(ingest(wanted.settings, wanted.source.name, wanted.partitions, wanted.attempt))
    print(f"the online store follows with: provender materialize {wanted.source.name}")
    return 0


def _require_ingested(wanted: Asked, ledger: Ledger) -> None:
    done = ledger.state().ingested
    absent: list[Partition] = [partition for partition in wanted.partitions if partition.key not in done]
    if absent:
        raise PartitionError(
            f"{wanted.source.name} {absent[0].key} is not ingested, so nothing of it is in quarantine",
            remedy=f"provender quarantine list {wanted.source.name}",
        )

"""Spark application: staged partitions into a source's tables."""

from __future__ import annotations

import sys

from provender.ingestion.ingest import ingest
from provender.intervals import parse_range
from provender.ledger import Job, Manifest
from provender.settings import Settings
from provender.specs.catalog import Catalog
from spark_jobs.entry import arguments, run


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--partitions", required=True, help="KEY, or FIRST..LAST (both included)")
    parser.add_argument(
        "--allow-withdrawal", action="store_true", help="let redeliveries take back any share of their rows"
    )
    parsed = parser.parse_args()

    def work(settings: Settings) -> Manifest:
        source = Catalog.load(settings.repo).source(parsed.source)
        partitions = parse_range(source.cadence, parsed.partitions)
        allowed = parsed.allow_withdrawal
        return ingest(settings, source.name, partitions, parsed.attempt, allow_withdrawal=allowed)

    return run(Job.INGEST, parsed, work)


if __name__ == "__main__":
    sys.exit(main())

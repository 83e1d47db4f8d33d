"""Spark application: staged partitions into a source's tables."""

from __future__ import annotations

import sys

from provender.ledger import Job, Manifest
from provender.settings import Settings
from provender.spark.ingest import ingest
from provender.specs.catalog import Catalog
from spark_jobs.entry import arguments, parse_range, run


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--partitions", required=True, help="KEY, or FIRST..LAST (both included)")
    parsed = parser.parse_args()

    def work(settings: Settings) -> Manifest:
        cadence = Catalog.load(settings.repo).source(parsed.source).cadence
        return ingest(settings, parsed.source, parse_range(cadence, parsed.partitions), parsed.attempt)

    return run(Job.INGEST, parsed, work)


if __name__ == "__main__":
    sys.exit(main())

"""Spark application: compaction, retention and expiry for every source."""

from __future__ import annotations

import argparse
import logging
import sys

from provender.failures import run_job
from provender.settings import Settings
from provender.upkeep.run import tidy

logger = logging.getLogger("provender.spark_jobs.upkeep")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True, help="folder of feature_store.yaml")
    parser.add_argument("--attempt", required=True, help="name of this attempt")
    parsed = parser.parse_args()

    def work(settings: Settings) -> None:
        for table in tidy(settings, parsed.attempt):
            outcome = "compacted" if table.compacted else "left alone"
            logger.info(f"{table.table}: {outcome}, {table.small_files} small files")

    return run_job(parsed.repo, parsed.attempt, work)


if __name__ == "__main__":
    sys.exit(main())

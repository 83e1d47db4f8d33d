"""Spark application: compaction, retention and expiry for every source."""

from __future__ import annotations

import argparse
import sys

from provender.errors import ProvenderError
from provender.settings import load_settings
from provender.upkeep.run import tidy
from spark_jobs.entry import report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True, help="folder of feature_store.yaml")
    parser.add_argument("--attempt", required=True, help="name of this attempt")
    parsed = parser.parse_args()
    try:
        for table in tidy(load_settings(parsed.repo), parsed.attempt):
            print(
                f"{table.table}: {'compacted' if table.compacted else 'left alone'}, {table.small_files} small files"
            )
    except ProvenderError as error:
        return report(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())

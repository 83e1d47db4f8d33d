"""Spark application: what a source's logs recorded since the last time, into the online store."""

from __future__ import annotations

import sys

from provender.ledger import Job
from provender.materialization.run import materialize
from spark_jobs.entry import arguments, run


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument(
        "--full", action="store_true", help="write every key again and remove what should not be there"
    )
    parsed = parser.parse_args()
    return run(
        Job.MATERIALIZE,
        parsed,
        lambda settings: materialize(settings, parsed.source, parsed.attempt, full=parsed.full),
    )


if __name__ == "__main__":
    sys.exit(main())

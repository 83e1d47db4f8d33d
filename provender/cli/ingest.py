"""``provender ingest``: stage and ingest partitions of a source."""

from __future__ import annotations

import argparse

from provender.cli.options import progress_aside
from provender.cli.partitions import add_arguments, asked, show

HELP = "stage partitions and put them into the source's tables (a range runs as one Spark application)"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``ingest SOURCE PARTITIONS [--allow-withdrawal] [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("ingest", help=HELP, description=HELP)
    add_arguments(parser)
    parser.add_argument(
        "--allow-withdrawal",
        action="store_true",
        help="let a redelivery take back more rows than the source's violations.max_withdrawn_share",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises what :func:`provender.staging.stage` and :func:`provender.ingestion.ingest.ingest` raise."""
    from provender.ingestion.ingest import ingest
    from provender.staging import stage

    wanted = asked(args)
    names = (wanted.settings, wanted.source.name, wanted.partitions, wanted.attempt)
    with progress_aside(args.json):
        staged = stage(wanted.settings, wanted.source, wanted.partitions, wanted.attempt)
        if not args.json:
            show(staged, as_json=False)  # ingesting may take long, or fail
        ingested = ingest(*names, allow_withdrawal=args.allow_withdrawal)
    show(*((staged, ingested) if args.json else (ingested,)), as_json=args.json)
    return 0

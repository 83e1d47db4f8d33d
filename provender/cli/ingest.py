"""``provender ingest``: stage and ingest partitions of a source."""

from __future__ import annotations

import argparse

from provender.cli.partitions import add_arguments, asked, show

HELP = "stage partitions and put them into the source's tables (a range runs as one Spark application)"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``ingest SOURCE PARTITIONS``."""
    parser: argparse.ArgumentParser = commands.add_parser("ingest", help=HELP, description=HELP)
    add_arguments(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises what :func:`provender.staging.stage` and :func:`provender.spark.ingest.ingest` raise."""
    from provender.spark.ingest import ingest
    from provender.staging import stage

    wanted = asked(args)
    show(stage(wanted.settings, wanted.source, wanted.partitions, wanted.attempt))
    show(ingest(wanted.settings, wanted.source.name, wanted.partitions, wanted.attempt))
    return 0

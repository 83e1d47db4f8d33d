"""``provender publish``: what a source's logs recorded since the last time, into BigQuery."""

from __future__ import annotations

import argparse

from provender.cli.options import add_full, progress_aside
from provender.cli.partitions import add_arguments, asked, show

HELP = "bring a source's tables in BigQuery up to what was ingested"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``publish SOURCE [--full] [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("publish", help=HELP, description=HELP)
    add_arguments(parser, partitions=False)
    add_full(parser, "replace every day, also those the log has no more")
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises what :func:`provender.publishing.publish.publish` raises."""
    from provender.publishing.publish import publish

    wanted = asked(args)
    with progress_aside(args.json):
        manifest = publish(wanted.settings, wanted.source.name, wanted.attempt, full=args.full)
    show(manifest, as_json=args.json)
    return 0

"""``provender materialize``: what a source's logs recorded since the last time, into the online store."""

from __future__ import annotations

import argparse

from provender.cli.options import add_full, progress_aside
from provender.cli.partitions import add_arguments, asked, show

HELP = "write what changed in a source's feature tables to the online store"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``materialize SOURCE [--full] [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("materialize", help=HELP, description=HELP)
    add_arguments(parser, partitions=False)
    add_full(parser, "write every key again, remove what should not be there")
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises what :func:`provender.materialization.run.materialize` raises."""
    from provender.materialization.run import materialize

    wanted = asked(args)
    with progress_aside(args.json):
        manifest = materialize(wanted.settings, wanted.source.name, wanted.attempt, full=args.full)
    show(manifest, as_json=args.json)
    return 0

"""``provender stage``: raw files into staged partitions."""

from __future__ import annotations

import argparse

from provender.cli.options import progress_aside
from provender.cli.partitions import add_arguments, asked, show

HELP = "copy partitions' raw files, unchanged, into immutable staged partitions"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``stage SOURCE PARTITIONS [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("stage", help=HELP, description=HELP)
    add_arguments(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises :class:`SourceNotReadyError` for a partition whose files are absent."""
    from provender.staging import stage

    wanted = asked(args)
    with progress_aside(args.json):
        staged = stage(wanted.settings, wanted.source, wanted.partitions, wanted.attempt)
    show(staged, as_json=args.json)
    return 0

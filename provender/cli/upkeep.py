"""``provender upkeep``: compaction, retention and expiry of every source's tables."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from provender.cli import options
from provender.settings import load_settings

HELP = "compact tables, remove what no reader can need any more, expire old online values"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``upkeep [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("upkeep", help=HELP, description=HELP)
    options.add_json(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises what :func:`provender.upkeep.run.tidy` raises."""
    from provender.upkeep.run import tidy

    settings = load_settings(args.repo)
    with options.progress_aside(args.json):
        tables = tidy(settings, options.attempt_name())
    if args.json:
        options.print_json([asdict(table) for table in tables])
        return 0
    for table in tables:
        what = "compacted" if table.compacted else "left alone"
        print(f"{table.table}: {what}, {table.small_files} small files")
    return 0

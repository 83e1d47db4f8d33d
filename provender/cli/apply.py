"""``provender apply``: registers the feature definitions with Feast."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

HELP = "print what changes in Feast's registry, then register the feature definitions"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``apply [--dry-run]``."""
    parser: argparse.ArgumentParser = commands.add_parser("apply", help=HELP, description=HELP)
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and stop")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Raises :class:`provender.errors.SpecError` with everything that is wrong, and what
    :func:`provender.feast.apply.apply` raises."""
    began = datetime.now(UTC)
    from provender.feast.apply import apply, plan, show  # Feast takes seconds to import

    if arguments.dry_run:
        show(plan(arguments.repo))
    else:
        apply(arguments.repo, began=began)
    return 0

"""``provender apply``: registers the feature definitions with Feast."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from provender.cli import options

HELP = "print what changes in Feast's registry, then register the feature definitions"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``apply [--dry-run] [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("apply", help=HELP, description=HELP)
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and stop")
    options.add_json(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Raises :class:`provender.errors.SpecError` with everything that is wrong, and what
    :func:`provender.feast.apply.apply` raises."""
    began = datetime.now(UTC)
    from provender.feast.apply import apply, plan, show  # Feast takes seconds to import

    with options.progress_aside(arguments.json):
        planned = plan(arguments.repo) if arguments.dry_run else apply(arguments.repo, began=began)
    if arguments.json:
        gone = sorted({view.view for view in planned.gone})
        options.print_json({"changes": planned.changes, "kept": planned.kept, "gone_online": gone})
    elif arguments.dry_run:
        show(planned)
    return 0

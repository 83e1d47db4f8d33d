"""``provender init``: a new feature repo that works at once."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = (
    "write a small feature repo that works at once: settings, a source, a view, a model, a test, sample data"
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``init DIR [--project NAME]``."""
    parser: argparse.ArgumentParser = commands.add_parser("init", help=HELP, description=HELP)
    parser.add_argument("folder", metavar="DIR", help="where: a new folder, or an empty one")
    parser.add_argument(
        "--project", metavar="NAME", help="name of the Feast project (default: the folder's name)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises :class:`provender.errors.SetupError` for a folder that is not empty or a name that cannot be."""
    from provender.cli.new_repo import write_repo

    folder = Path(args.folder)
    written = write_repo(folder, args.project)
    print("\n".join(f"  {path}" for path in written))
    print(
        f"\nnext: cd {args.folder}, then the commands in README.md, the first of which is: provender validate"
    )
    return 0

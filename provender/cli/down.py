"""``provender down``: ends everything that runs for this checkout."""

from __future__ import annotations

import argparse

from provender.settings import load_settings

HELP = "stop Redis, Airflow, the Spark engine and running jobs of this checkout"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``down``."""
    parser: argparse.ArgumentParser = commands.add_parser("down", help=HELP, description=HELP)
    return parser


def run(arguments: argparse.Namespace) -> int:
    from provender.local import services  # psutil, which the core has not

    services.down(load_settings(arguments.repo))
    return 0

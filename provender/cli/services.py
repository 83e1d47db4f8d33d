"""``provender services``: what runs on this machine for this checkout."""

from __future__ import annotations

import argparse

from provender.local import services
from provender.settings import load_settings

HELP = "list what runs on this machine for this checkout, and where its logs are"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``services``."""
    parser: argparse.ArgumentParser = commands.add_parser("services", help=HELP, description=HELP)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 if a service does not run."""
    found = services.status(load_settings(arguments.repo))
    for service in found:
        print(f"{service.name:10} {service.state:10} {service.address:24} {service.detail}")
    return 0 if all(service.state == "running" for service in found) else 1

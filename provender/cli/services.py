"""``provender services``: what runs on this machine for this checkout."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from provender.cli import options
from provender.settings import load_settings

if TYPE_CHECKING:
    from provender.local.services import ServiceStatus

HELP = "list what runs on this machine for this checkout, and where its logs are"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``services [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("services", help=HELP, description=HELP)
    options.add_json(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 if a service does not run."""
    from provender.local import services  # psutil, which the core has not

    found = services.status(load_settings(arguments.repo))
    if arguments.json:
        options.print_json([asdict(service) for service in found])
        return _exit_code(found)
    for service in found:
        print(f"{service.name:10} {service.state:10} {service.address:24} {service.detail}")
    return _exit_code(found)


def _exit_code(found: list[ServiceStatus]) -> int:
    return 0 if all(service.state == "running" for service in found) else 1

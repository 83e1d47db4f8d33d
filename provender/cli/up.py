"""``provender up``: starts Redis and Airflow on this machine."""

from __future__ import annotations

import argparse

from provender.settings import Settings, load_settings

HELP = "start Redis and Airflow on this machine, and print the UI's address, user and password"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``up [--redis-only]``."""
    parser: argparse.ArgumentParser = commands.add_parser("up", help=HELP, description=HELP)
    parser.add_argument("--redis-only", action="store_true", help="leave Airflow out")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Raises :class:`provender.errors.SetupError`: a port in use, a full disk, a missing program."""
    from provender.local import services  # psutil, which the core has not

    settings = load_settings(arguments.repo)
    services.up(settings, airflow=not arguments.redis_only)
    if not arguments.redis_only:
        print(sign_in(settings))
    return 0


def sign_in(settings: Settings) -> str:
    """Where the UI is, with whose name, and how Airflow's own command line finds this Airflow."""
    from provender.local import airflow_config

    user, password = airflow_config.credentials(settings)
    return "\n".join(
        [
            "",
            f"Airflow:  {airflow_config.base_url(settings)}  user {user}  password {password}",
            f"its CLI:  . {airflow_config.shell_file(settings)}",
            "stop:     make stop",
        ]
    )

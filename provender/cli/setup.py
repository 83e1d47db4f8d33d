"""``provender setup``: what Spark needs on this machine and no wheel carries."""

from __future__ import annotations

import argparse

from provender.settings import load_settings
from provender.spark import jars, java

HELP = "make sure that Java and Spark's jars are there, and fetch what is missing"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``setup``."""
    parser: argparse.ArgumentParser = commands.add_parser("setup", help=HELP, description=HELP)
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises :class:`provender.errors.SetupError` for what cannot be had."""
    settings = load_settings(args.repo)
    if settings.spark.remote:
        print(f"nothing to fetch: provender.spark.remote names an engine that runs, {settings.spark.remote}")
        return 0
    java.ensure(settings)
    jars.install(settings)
    print(f"Java: {java.java_command(settings)}\njars: {settings.state_dir / settings.spark.jars_dir}")
    return 0

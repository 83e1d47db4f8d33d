"""``provender validate``: every problem of every definition, one line each, in one go."""

from __future__ import annotations

import argparse
import logging

from provender.cli import options
from provender.settings import load_settings
from provender.specs.catalog import Catalog
from provender.specs.models import ModelCatalog
from provender.specs.validation import find_all

logger = logging.getLogger(__name__)

HELP = "check every definition (sources, SQL, views, models) and print each problem with its file and line"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Adds the command's parser."""
    parser = subparsers.add_parser("validate", help=HELP, description=HELP)
    options.add_json(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """0 if all is well, else 1 with the problems on standard error (as JSON: on standard output).

    Warnings come on standard error too, and change nothing about the exit code.
    """
    settings = load_settings(args.repo)
    catalog = Catalog.load(settings.repo)
    models = ModelCatalog.load(catalog.repo, catalog)
    found = find_all(settings, models)
    if args.json:
        named = {"sources": sorted(catalog.sources), "models": sorted(models.models)}
        options.print_json({**named, "problems": found.problems, "warnings": found.warnings})
        return 1 if found.problems else 0
    for warning in found.warnings:
        logger.warning(warning)
    if found.problems:
        for problem in found.problems:
            logger.error(problem)
        count = "1 problem" if len(found.problems) == 1 else f"{len(found.problems)} problems"
        logger.error(count)
        return 1
    print(f"all is well: {', '.join(sorted(catalog.sources)) or 'there are no sources yet'}")
    if models.models:
        print(f"models: {', '.join(sorted(models.models))}")
    return 0

"""``provender validate``: every problem of every definition, one line each, in one go."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from provender.settings import Settings, load_settings
from provender.specs import views
from provender.specs.catalog import Catalog
from provender.specs.models import ModelCatalog
from provender.specs.problems import Problem, did_you_mean
from provender.specs.sql import problems as sql_problems

HELP = "check every definition (sources, SQL, views, models) and print each problem with its file and line"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Adds the command's parser."""
    parser = subparsers.add_parser("validate", help=HELP, description=HELP)
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of lines")
    return parser


def run(args: argparse.Namespace) -> int:
    """0 if all is well, else 1 with the problems on standard error (as JSON: on standard output)."""
    settings = load_settings(args.repo)
    catalog = Catalog.load(settings.repo)
    models = ModelCatalog.load(catalog.repo, catalog)
    found = problems(models) + list(unknown_connections(settings, catalog))
    if args.json:
        named = {"sources": sorted(catalog.sources), "models": sorted(models.models)}
        print(json.dumps({**named, "problems": found}, indent=2))
    elif found:
        print("\n".join(found), file=sys.stderr)
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        print(count, file=sys.stderr)
    else:
        print(f"all is well: {', '.join(sorted(catalog.sources)) or 'there are no sources yet'}")
        if models.models:
            print(f"models: {', '.join(sorted(models.models))}")
    return 1 if found else 0


def unknown_connections(settings: Settings, catalog: Catalog) -> Iterator[str]:
    """Lines as of :func:`problems` for sources in databases that the settings do not know."""
    for name, source in catalog.sources.items():
        sql = source.raw.sql
        if sql is not None and sql.connection not in settings.connections:
            path = catalog.path_of(name)
            lines = path.read_text(encoding="utf-8").splitlines()
            at = next((number for number, text in enumerate(lines, 1) if "connection" in text), 1)
            what = (
                f"raw.sql.connection: {sql.connection!r} is not under provender.connections in the settings"
            )
            yield str(Problem(path, at, what, did_you_mean(sql.connection, settings.connections)))


def problems(models: ModelCatalog) -> list[str]:
    """Lines ``file:line: what; remedy``: of sources, their SQL, the views, the models."""
    catalog = models.sources
    lines = [line for error in catalog.broken.values() for line in str(error).splitlines()]
    for name, source in catalog.sources.items():
        for table in source.tables:
            if table.is_derived:
                path = catalog.sql_path_of(name, table.name)
                lines += map(str, sql_problems(catalog.sql_of(name, table.name), name, path, source.cadence))
    lines += map(str, views.check(catalog.repo, catalog))
    return lines + [line for error in models.broken.values() for line in str(error).splitlines()]

"""``provender validate``: every problem of every definition, one line each, in one go."""

from __future__ import annotations

import argparse
import json
import sys

from provender.settings import load_settings
from provender.specs import views
from provender.specs.catalog import Catalog
from provender.specs.sql import problems as sql_problems

HELP = "check every definition (sources, SQL, views) and print each problem with its file and line"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Adds the command's parser."""
    parser = subparsers.add_parser("validate", help=HELP, description=HELP)
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of lines")
    return parser


def run(args: argparse.Namespace) -> int:
    """0 if all is well, else 1 with the problems on standard error (as JSON: on standard output)."""
    catalog = Catalog.load(load_settings(args.repo).repo)
    found = problems(catalog)
    if args.json:
        print(json.dumps({"sources": sorted(catalog.sources), "problems": found}, indent=2))
    elif found:
        print("\n".join(found), file=sys.stderr)
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        print(count, file=sys.stderr)
    else:
        print(f"all is well: {', '.join(sorted(catalog.sources)) or 'there are no sources yet'}")
    return 1 if found else 0


def problems(catalog: Catalog) -> list[str]:
    """Lines ``file:line: what; remedy``: of specs, then of SQL, then of views."""
    lines = [line for error in catalog.broken.values() for line in str(error).splitlines()]
    for name, source in catalog.sources.items():
        for table in source.tables:
            if table.is_derived:
                path = catalog.sql_path_of(name, table.name)
                lines += map(str, sql_problems(catalog.sql_of(name, table.name), name, path, source.cadence))
    return [*lines, *map(str, views.check(catalog.repo, catalog))]

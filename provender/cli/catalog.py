"""``provender catalog``: what features, sources and models there are, and who uses them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from provender.cli import options
from provender.errors import SpecError
from provender.settings import load_settings
from provender.specs.problems import did_you_mean

if TYPE_CHECKING:
    from provender.catalog import FeatureCatalog, FeatureFact, ModelFact, SourceFact

HELP = "search features, and show a feature, a source or a model with who uses it"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``catalog search [WORD …] [--source S] … [--json]`` and ``catalog show NAME [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("catalog", help=HELP, description=HELP)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    text = "features by words of names, descriptions, owners, tags, SQL and columns; the most used first"
    searching = verbs.add_parser("search", help=text, description=text)
    searching.add_argument(
        "words", nargs="*", metavar="WORD", help="all of them must be found (default: everything)"
    )
    for name, of in (
        ("source", "source"),
        ("owner", "owner"),
        ("key", "join key"),
        ("type", "type"),
        ("tag", "tag"),
    ):
        searching.add_argument(f"--{name}", help=f"only features with this {of}")
    searching.add_argument(
        "--online", action="store_true", default=None, help="only features that are to be online"
    )
    searching.add_argument(
        "--served", action="store_true", default=None, help="only those that a serving model reads"
    )
    options.add_rows(searching, 20, "how many features to show")
    options.add_json(searching)
    showing = verbs.add_parser("show", help="one of them, as VIEW:FEATURE, or a source's or model's name")
    options.add_key(showing, "NAME", "VIEW:FEATURE, a source or a model")
    options.add_json(showing)
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises :class:`SpecError` for a name that there is not."""
    from provender.catalog import read_catalog

    catalog = read_catalog(load_settings(args.repo))
    return _search(args, catalog) if args.verb == "search" else _show(args, catalog)


def _search(args: argparse.Namespace, catalog: FeatureCatalog) -> int:
    from provender.catalog import Facets, search

    facets = Facets(args.source, args.owner, args.key, args.type, args.tag, args.online, args.served)
    found = search(catalog, " ".join(args.words), facets)
    if args.json:
        options.print_json([as_document(fact) for fact in found[: args.rows]])
        return 0
    for fact in found[: args.rows]:
        print(f"{fact.name}  {fact.type}  {fact.description}")
        print(f"  {fact.source}.{fact.table}, owner {fact.owner}, used by {fact.uses}")
    if len(found) > args.rows:
        print(f"and {len(found) - args.rows} more: --rows {len(found)}")
    if not found:
        print(
            "no feature has all of these words"
            if catalog.features
            else "nothing is applied yet: provender apply"
        )
    return 0


def _show(args: argparse.Namespace, catalog: FeatureCatalog) -> int:
    everything: dict[str, Any] = {**catalog.models, **catalog.sources, **catalog.features}
    if args.name not in everything:
        raise SpecError(
            f"there is no feature, source or model {args.name!r}",
            not_affected="everything: nothing was written",
            remedy=did_you_mean(args.name, list(everything)) or "provender catalog search",
        )
    # A source and a model may have one name.
    found = [
        named[args.name]
        for named in (catalog.features, catalog.sources, catalog.models)
        if args.name in named
    ]
    if args.json:
        options.print_json([as_document(fact) for fact in found])
        return 0
    print("\n\n".join("\n".join(lines(fact)) for fact in found))
    return 0


def as_document(fact: FeatureFact | SourceFact | ModelFact) -> dict[str, Any]:
    """For machines: the fact's fields, durations in seconds; ``kind`` is feature, source or model."""
    document = {"kind": type(fact).__name__.removesuffix("Fact").lower(), "name": fact.name, **asdict(fact)}
    return {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in document.items()
    }


def lines(fact: FeatureFact | SourceFact | ModelFact) -> Iterator[str]:
    """A fact for people."""
    document = as_document(fact)
    yield f"{fact.name} ({document.pop('kind')})"
    sql = str(document.pop("sql", ""))
    for name, value in document.items():
        shown = ", ".join(value) if isinstance(value, tuple | list) else value
        if shown not in ("", None) and name != "name":
            yield f"  {name.replace('_', ' '):<13} {shown}"
    if sql:
        yield from (f"    {line}" for line in sql.strip().splitlines())
    if hasattr(fact, "snippet"):
        yield f"  read it with   {fact.snippet}"

"""``provender online repair``: takes values back out of the online store."""

from __future__ import annotations

import argparse
from datetime import datetime

from provender.cli.options import key_values, progress_aside
from provender.cli.partitions import add_arguments, asked, show
from provender.errors import SpecError
from provender.intervals import parse_iso

HELP = "look after the online store: repair makes chosen values what the log says now"
_REPAIR = (
    "Make what is online of chosen keys, or of values newer than a time, what the source's log says now. "
    "Correct or withdraw a wrong raw row too: the next rebuild writes what the log has."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``online repair SOURCE [--view VIEW …] [--key NAME=VALUE[,NAME=VALUE …] …] [--newer-than TIME] [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("online", help=HELP, description=HELP)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    repair = verbs.add_parser("repair", help=_REPAIR, description=_REPAIR)
    add_arguments(repair, partitions=False)
    repair.add_argument(
        "--view", action="append", default=[], help="only this view (default: all online ones)"
    )
    repair.add_argument(
        "--key",
        action="append",
        default=[],
        type=key_values,
        metavar="NAME=VALUE",
        help="a key, with a value for each of its join keys: --key shop=3,city=Bonn; may be given again",
    )
    repair.add_argument(
        "--newer-than",
        type=_moment,
        metavar="TIME",
        help="only values with a later event timestamp, as 2026-11-27T00:00:00Z; "
        "they fall back to the log's newest row up to then",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises what :func:`provender.materialization.repair.repair` raises, and :class:`SpecError` where neither a key
    nor a time is given."""
    from provender.materialization.repair import Wanted, repair

    if not args.key and args.newer_than is None:
        raise SpecError(
            "say which values are to be repaired",
            not_affected="the online store: nothing was written",
            remedy="--key NAME=VALUE or --newer-than TIME; for every key: "
            f"provender materialize {args.source} --full",
        )
    wanted = asked(args)
    values = Wanted(tuple(args.key), args.newer_than, tuple(args.view))
    with progress_aside(args.json):
        manifest = repair(wanted.settings, wanted.source.name, wanted.attempt, values)
    show(manifest, as_json=args.json)
    return 0


def _moment(text: str) -> datetime:
    try:
        return parse_iso(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-11-27T00:00:00Z: {error}") from error

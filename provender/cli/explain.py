"""``provender explain``: why a feature has the value that it has."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from provender.cli import options
from provender.intervals import iso, parse_iso
from provender.settings import load_settings

if TYPE_CHECKING:
    from provender.explain import Explanation
    from provender.explain.versions import Version

HELP = "tell why a feature has its value: versions, attempts, raw rows, and the value computed again"
_WIDTH = 13


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``explain VIEW:FEATURE --key NAME=VALUE … [--at T] [--known-then] [--online] [--stored-only] [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("explain", help=HELP, description=HELP)
    options.add_key(parser, "FEATURE", "the feature, as VIEW:FEATURE")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        type=options.key_values,
        metavar="NAME=VALUE",
        help="a value for each join key: --key shop=3,city=Bonn, or --key given again",
    )
    parser.add_argument(
        "--at",
        type=_moment,
        metavar="TIME",
        help="the time of the entity row, as 2026-11-27T00:00:00Z (default: now)",
    )
    parser.add_argument(
        "--known-then",
        action="store_true",
        help="only versions that were created by then, as a leak-free join",
    )
    parser.add_argument("--online", action="store_true", help="ask the online store too")
    parser.add_argument(
        "--stored-only", action="store_true", help="do not compute the value again from the raw rows"
    )
    options.add_json(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """1 if the value computed again is another one. Raises what :func:`provender.explain.explain` raises."""
    from provender.explain import Question, explain
    from provender.explain.recomputed import Outcome

    view, _, feature = args.feature.partition(":")
    question = Question(
        view=view,
        feature=feature,
        keys={name: value for pairs in args.key for name, value in pairs.items()},
        at=args.at or datetime.now(UTC),
        known_then=args.known_then,
        online=args.online,
        recompute=not args.stored_only,
    )
    with options.progress_aside(args.json):
        found = explain(load_settings(args.repo), question, options.attempt_name())
    if args.json:
        options.print_json(found.as_document())
    else:
        print("\n".join(lines(found)))
    return int(found.recomputed is not None and found.recomputed.outcome is Outcome.DIFFERENT)


def lines(found: Explanation) -> Iterator[str]:
    """An explanation for people."""
    question, version = found.question, found.version
    keys = ", ".join(f"{name}={value}" for name, value in found.feature.join_keys.items())
    yield f"{question.view}:{question.feature} of {keys or 'everything'} at {iso(question.at)}"
    yield _line("value", found.value if version is not None and version.value is not None else "null")
    if found.rule is not None:
        yield _line("null because", _RULES[found.rule].format(ttl=found.feature.ttl))
    told = version or found.nearest
    if told is not None:
        yield _line("row" if version else "nearest row", _times(told))
    for change in found.changes:
        mark = "*" if change.version == version else " "
        yield _line(f"{mark} version", f"{_value(change.version)}: {change.why}")
        yield from _recorder_lines(change.recorder, change.version)
    if found.before is not None:
        yield _line("row before", f"{_value(found.before)}, event {iso(found.before.event)}")
    if found.after is not None:
        yield _line("row after", f"{_value(found.after)}, event {iso(found.after.event)}")
    yield _line(
        "definition", f"{found.source}.{found.table}, {found.sql or 'taken as it is'}, spec {found.spec[:12]}"
    )
    yield _line("Airflow", f"DAG features__{found.source}")
    yield from _recomputed_lines(found)
    yield from _online_lines(found)


_RULES = {
    "no_version": "no version of this key is that old: the log has nothing at or before this time",
    "too_old": "the newest row is older than the view's ttl of {ttl}",
    "withdrawn": "the row was withdrawn: its raw rows were taken back",
    "not_yet_known": "the row was created later than this time, and --known-then leaves it out",
    "null_in_raw_row": "the raw row has no value for it",
    "aggregate_of_nothing": "the SQL gives null: no raw row of the period has a value that it uses",
    "column_added_later": "the feature was added later than this version was recorded",
}
_DECISIONS = {
    "same": "the row that is online is the log's",
    "nothing": "nothing is online, and the log has no row",
    "not_online": "the view is not to be online",
    "expired": "not kept online: older than the table's online_ttl",
    "due": "the log's row is due: the next materialization writes it (provender materialize {source})",
    "lost": "materialized, and not online any more (provender materialize {source} says why and rebuilds)",
    "kept_newer": "the guard keeps what is online: it is newer than the log's row (provender online repair {source})",
    "other_value": "the same version with another value: another writer (provender online repair {source})",
}


def _recorder_lines(recorder: Any, version: Version) -> Iterator[str]:
    yield _line("", f"created {iso(version.created)}, recorded {iso(version.recorded)}")
    if recorder is not None:
        resumed = ", after an attempt that died" if recorder.resumed else ""
        text = f"manifest {recorder.manifest}, attempt {recorder.attempt}{resumed}"
        yield _line("", f"{text}, spec {recorder.spec[:12]}, {recorder.code}")


def _recomputed_lines(found: Explanation) -> Iterator[str]:
    again = found.recomputed
    if again is None:
        return
    if again.rows is not None:
        whose = "of this key" if again.rows.is_of_key else "of the period"
        yield _line("raw rows", f"{again.rows.table.num_rows} {whose}")
    for row in found.raw_rows:
        record = f":{row.record}" if row.record is not None else ""
        values = ", ".join(f"{name}={value}" for name, value in row.values.items())
        yield _line("", f"{row.file}{record}  {values[:200]}")
    if again.outcome == "not_possible":
        yield _line("recomputed", f"not possible: {again.why}")
    elif again.state is not None:
        value = "no row" if again.state.deleted else again.state.value
        yield _line("recomputed", f"{'null' if value is None else value} ({again.outcome})")


def _online_lines(found: Explanation) -> Iterator[str]:
    online = found.online
    if online is None:
        return
    if online.event is not None:
        created = f", created {iso(online.created)}" if online.created else ""
        value = "null" if online.value is None else online.value
        yield _line("online", f"{value}, event {iso(online.event)}{created}")
    yield _line(
        "guard" if online.event else "online", _DECISIONS[online.decision].format(source=found.source)
    )


def _times(version: Version) -> str:
    return f"event {iso(version.event)}, created {iso(version.created)}, recorded {iso(version.recorded)}"


def _value(version: Version) -> str:
    return "withdrawn" if version.deleted else "null" if version.value is None else str(version.value)


def _line(name: str, text: object) -> str:
    return f"  {name:<{_WIDTH}} {text}"


def _moment(text: str) -> datetime:
    try:
        return parse_iso(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-11-27T00:00:00Z: {error}") from error

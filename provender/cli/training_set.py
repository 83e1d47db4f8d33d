"""``provender training-set``: build, verify, compare and look at training sets."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from provender.cli import options
from provender.errors import TrainingSetError
from provender.intervals import iso
from provender.settings import Settings, load_settings
from provender.storage import storage_at
from provender.training_sets.folder import TrainingSet, open_training_set, training_sets
from provender.training_sets.request import Request, request_of_model

if TYPE_CHECKING:
    from provender.training_sets.diff import Difference

HELP = "point-in-time training sets: build, verify, compare"
_WHICH = "a training set's id, or its folder or lockfile.json by path or URI"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``training-set build|list|verify|diff|report``; all but ``report`` take ``--json``."""
    parser: argparse.ArgumentParser = commands.add_parser("training-set", help=HELP, description=HELP)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    building = actions.add_parser("build", help="of a model, or of a file of entity rows")
    _add_building(building)
    listing = actions.add_parser("list", help="what is there, the newest first")
    listing.add_argument("name", nargs="?", metavar="NAME", help="only those of this name")
    verifying = actions.add_parser("verify", help="build it again from the logs as they stood, and compare")
    verifying.add_argument("lockfile", metavar="LOCKFILE", help=_WHICH)
    comparing = actions.add_parser("diff", help="what differs between two, and which cause explains it")
    comparing.add_argument("before", metavar="BEFORE", help=_WHICH)
    comparing.add_argument("after", metavar="AFTER", help=_WHICH)
    options.add_rows(comparing, 10, "how many differing rows to show")
    for each in (building, listing, verifying, comparing):
        options.add_json(each)
    reporting = actions.add_parser("report", help="where the report for people is; made anew if it is gone")
    reporting.add_argument("lockfile", metavar="LOCKFILE", help=_WHICH)
    return parser


def _add_building(parser: argparse.ArgumentParser) -> None:
    options.add_model(parser, nargs="?", text="name of a model spec")
    options.add_key(parser, "KEY", "partition to train for (default: the newest complete one)", nargs="?")
    parser.add_argument("--entities", metavar="FILE", help="instead of a model: Parquet or CSV, path or URI")
    parser.add_argument("--features", help="with --entities: view:feature,… or a feature service's name")
    parser.add_argument("--name", help="with --entities: of the training set")
    parser.add_argument("--label", help="with --entities: a column of them")
    parser.add_argument(
        "--as-known",
        action="store_true",
        help="with --entities: leave out what was created after a row's time",
    )


def run(args: argparse.Namespace) -> int:
    """Exit code 1: ``verify`` found a difference or cannot build again, ``diff`` found differing rows."""
    settings = load_settings(args.repo)
    actions = {"build": _build, "list": _list, "verify": _verify, "diff": _diff, "report": _report}
    return actions[args.action](settings, args)


def _build(settings: Settings, args: argparse.Namespace) -> int:
    from provender.feast.training_set import build

    built = build(settings, _request(settings, args), options.attempt_name())
    if args.json:
        options.print_json(_document(built))
    else:
        print(built.lockfile.id)
        print(
            f"  data      {built.data_uri}\n  lockfile  {built.lockfile_uri}\n  report    {built.report_uri}"
        )
    return 0


def _document(built: TrainingSet) -> dict[str, Any]:
    """For machines: id, name, creation time, rows, partition keys' period, URIs."""
    lockfile = built.lockfile
    return {
        "id": lockfile.id,
        "name": lockfile.inputs.name,
        "created": iso(lockfile.created),
        "rows": lockfile.result.rows,
        "periods": list(lockfile.inputs.entities.origin.get("periods", ())),
        "data": built.data_uri,
        "lockfile": built.lockfile_uri,
        "report": built.report_uri,
    }


def _request(settings: Settings, args: argparse.Namespace) -> Request:
    if args.model:
        return request_of_model(settings, args.model, args.key)
    if not (args.entities and args.features and args.name):
        raise TrainingSetError(
            "neither a model nor entity rows were named",
            remedy="provender training-set build MODEL [KEY], or: build --entities FILE --features a:b,c:d --name N",
        )
    features = tuple(args.features.split(",")) if ":" in args.features else args.features
    return Request(args.name, args.entities, features, label=args.label, as_known=args.as_known)


def _list(settings: Settings, args: argparse.Namespace) -> int:
    stored = training_sets(storage_at(settings.storage_root), args.name)
    found = sorted(stored, key=lambda one: one.lockfile.created, reverse=True)
    if args.json:
        options.print_json([_document(each) for each in found])
        return 0
    for each in found:
        inputs, rows = each.lockfile.inputs, each.lockfile.result.rows
        periods = " to ".join(at[:10] for at in inputs.entities.origin.get("periods", ()))
        print(
            f"{each.lockfile.id}  {inputs.name}  {each.lockfile.created:%Y-%m-%d %H:%M}  {rows} rows  {periods}"
        )
    if not found:
        print("there is no training set yet; make one with: provender training-set build MODEL")
    return 0


def _verify(settings: Settings, args: argparse.Namespace) -> int:
    from provender.training_sets.verify import verify

    checked = verify(settings, _open(settings, args.lockfile))
    if args.json:
        document = _document(checked.training_set)
        options.print_json({**document, "agrees": checked.agrees, "findings": list(checked.findings)})
    else:
        print(checked)
    return 0 if checked.agrees else 1


def _diff(settings: Settings, args: argparse.Namespace) -> int:
    from provender.training_sets.diff import diff

    found = diff(settings, _open(settings, args.before), _open(settings, args.after))
    if args.json:
        options.print_json(_difference(found))
    else:
        print(found.text(args.rows))
    return 1 if found.has_differences else 0


def _difference(found: Difference) -> dict[str, Any]:
    """For machines: whether rows differ, how many of which kind, and what each cause explains."""
    return {
        "before": found.before.lockfile.id,
        "after": found.after.lockfile.id,
        "differs": found.has_differences,
        "only_before": len(found.pairs.only_before),
        "only_after": len(found.pairs.only_after),
        "changed": found.pairs.counts() if len(found.pairs.changed) else {},
        "causes": [
            {"cause": str(finding.cause), "text": finding.text, "rows": finding.rows}
            for finding in found.findings
        ],
        "notes": list(found.notes),
    }


def _report(settings: Settings, args: argparse.Namespace) -> int:
    from provender.training_sets.build import make_report

    print(make_report(settings, _open(settings, args.lockfile)))
    return 0


def _open(settings: Settings, reference: str) -> TrainingSet:
    return open_training_set(storage_at(settings.storage_root), reference)

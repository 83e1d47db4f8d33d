"""``provender training-set``: build, verify, compare and look at training sets."""

from __future__ import annotations

import argparse
import getpass
import secrets
from datetime import UTC, datetime

from provender.errors import TrainingSetError
from provender.settings import Settings, load_settings
from provender.storage import storage_at
from provender.training_sets.folder import TrainingSet, open_training_set, training_sets
from provender.training_sets.request import Request, request_of_model

HELP = "point-in-time training sets: build, verify, compare"
_WHICH = "a training set's id, or its folder or lockfile.json by path or URI"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``training-set build|list|verify|diff|report``."""
    parser: argparse.ArgumentParser = commands.add_parser("training-set", help=HELP, description=HELP)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    building = actions.add_parser("build", help="of a model, or of a file of entity rows")
    building.add_argument("model", nargs="?", help="name of a model spec")
    building.add_argument("key", nargs="?", help="partition to train for (default: the newest complete one)")
    building.add_argument(
        "--entities", metavar="FILE", help="instead of a model: Parquet or CSV, path or URI"
    )
    building.add_argument("--features", help="with --entities: view:feature,… or a feature service's name")
    building.add_argument("--name", help="with --entities: of the training set")
    building.add_argument("--label", help="with --entities: a column of them")
    building.add_argument(
        "--as-known",
        action="store_true",
        help="with --entities: leave out what was created after a row's time",
    )
    listing = actions.add_parser("list", help="what is there, the newest first")
    listing.add_argument("name", nargs="?", help="only those of this name")
    verifying = actions.add_parser("verify", help="build it again from the logs as they stood, and compare")
    verifying.add_argument("lockfile", help=_WHICH)
    comparing = actions.add_parser("diff", help="what differs between two, and which cause explains it")
    comparing.add_argument("before", help=_WHICH)
    comparing.add_argument("after", help=_WHICH)
    comparing.add_argument(
        "--rows", type=int, default=10, help="how many differing rows to show (default: 10)"
    )
    reporting = actions.add_parser("report", help="where the report for people is; made anew if it is gone")
    reporting.add_argument("lockfile", help=_WHICH)
    return parser


def run(args: argparse.Namespace) -> int:
    """Exit code 1: ``verify`` found a difference or cannot build again, ``diff`` found differing rows."""
    settings = load_settings(args.repo)
    actions = {"build": _build, "list": _list, "verify": _verify, "diff": _diff, "report": _report}
    return actions[args.action](settings, args)


def _build(settings: Settings, args: argparse.Namespace) -> int:
    from provender.training_sets.build import build

    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    attempt = f"cli-{getpass.getuser()}-{moment}-{secrets.token_hex(3)}"
    built = build(settings, _request(settings, args), attempt)
    print(built.lockfile.id)
    print(f"  data      {built.data_uri}\n  lockfile  {built.lockfile_uri}\n  report    {built.report_uri}")
    return 0


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
    found = list(training_sets(storage_at(settings.storage_root), args.name))
    for each in sorted(found, key=lambda one: one.lockfile.created, reverse=True):
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
    print(checked)
    return 0 if checked.agrees else 1


def _diff(settings: Settings, args: argparse.Namespace) -> int:
    from provender.training_sets.diff import diff

    found = diff(settings, _open(settings, args.before), _open(settings, args.after))
    print(found.text(args.rows))
    return 1 if found.has_differences else 0


def _report(settings: Settings, args: argparse.Namespace) -> int:
    from provender.training_sets.build import make_report

    print(make_report(settings, _open(settings, args.lockfile)))
    return 0


def _open(settings: Settings, reference: str) -> TrainingSet:
    return open_training_set(storage_at(settings.storage_root), reference)

"""``provender models``: a model's versions, and the way back to an earlier one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provender.cli import options
from provender.errors import SpecError
from provender.intervals import iso
from provender.model_registry.deployments import Deployment
from provender.model_registry.store import ModelStore, Version, model_names
from provender.settings import Settings, load_settings
from provender.specs.models import ModelCatalog
from provender.specs.problems import did_you_mean
from provender.storage import storage_at
from provender.training_sets.keys import key_standing

HELP = "list models and their versions: what serves, since when, metrics, lockfile; or roll one back"
_LIST = "every model, and what serves"
_SHOW = "a model's versions, and the newest key it could be trained for"
_ROLLBACK = "let an earlier version serve again"
_VERBS = ("list", "show", "rollback")
_SHOWN_METRICS = 4


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``models list [--json]``, ``models show MODEL [--json]`` and ``models rollback MODEL [--to VERSION]``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "models",
        help=HELP,
        description=f"{HELP}. `models` is `models list`, `models MODEL` is `models show MODEL`.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help=_LIST, description=_LIST)
    showing = verbs.add_parser("show", help=_SHOW, description=_SHOW)
    options.add_model(showing)
    for each in (listing, showing):
        options.add_json(each)
    rolling = verbs.add_parser("rollback", help=_ROLLBACK, description=_ROLLBACK)
    options.add_model(rolling)
    rolling.add_argument("--to", metavar="VERSION", help="to this version (default: the one before)")
    return parser


def with_verb(words: Sequence[str]) -> list[str]:
    """Return the command's arguments with the verb that is left out: ``list``, or ``show`` before a model's name."""
    if words and words[0] in (*_VERBS, "-h", "--help"):
        return list(words)
    return ["show" if any(not word.startswith("-") for word in words) else "list", *words]


def run(args: argparse.Namespace) -> int:
    """Raises :class:`provender.errors.SpecError` for an unknown model, :class:`DeployError` for a rollback that
    cannot be done."""
    settings = load_settings(args.repo)
    if args.verb == "rollback":
        return _roll_back(settings, args.model, args.to)
    return _show(settings, args.model if args.verb == "show" else None, args.json)


def _roll_back(settings: Settings, name: str, to: str | None) -> int:
    from provender.rollout.deploy import only_deployer
    from provender.rollout.rollback import roll_back
    from provender.serving_backends.choice import backend_for
    from provender.specs.models.spec import Serving

    spec = ModelCatalog.load(settings.repo).models.get(name)
    serving = spec.serving if spec else Serving()  # a spec that is broken now must not stand in the way back
    attempt = options.attempt_name()
    with only_deployer(storage_at(settings.storage_root), name, attempt):
        backend = backend_for(settings)
        done = roll_back(settings, backend, name, serving, to=to, attempt=attempt)
    print(f"{name}: version {done.version} serves again instead of {done.previous}")
    return 0


def _show(settings: Settings, name: str | None, as_json: bool) -> int:
    catalog = ModelCatalog.load(settings.repo)
    stores = _stores(settings, catalog, name)
    if as_json:
        options.print_json([_document(settings, catalog, store, name) for store in stores])
    elif name is not None:
        print(
            "\n".join([*_detailed(stores[0], _judged(catalog, name)), *_key_lines(settings, catalog, name)])
        )
    else:
        lines = [_overview(store, _judged(catalog, store.model)) for store in stores]
        print("\n".join(lines) or "there are no models yet")
    return 0


def _stores(settings: Settings, catalog: ModelCatalog, name: str | None) -> list[ModelStore]:
    """Of the model ``name``, or of all that are defined or stored."""
    storage = storage_at(settings.storage_root)
    known = sorted({*catalog.models, *catalog.broken, *model_names(storage)})
    if name is not None and name not in known:
        raise SpecError(f"no model is called {name!r}", remedy=did_you_mean(name, known))
    return [ModelStore(storage, each) for each in ([name] if name else known)]


def _document(
    settings: Settings, catalog: ModelCatalog, store: ModelStore, asked: str | None
) -> dict[str, Any]:
    document = as_document(store, detailed=asked is not None)
    if asked is not None and asked in catalog.models:
        standing = key_standing(settings, catalog, asked)
        document["keys"] = {
            "complete": standing.complete.key if standing.complete else None,
            "incomplete": standing.incomplete.key if standing.incomplete else None,
            "because": standing.because,
        }
    return document


def _key_lines(settings: Settings, catalog: ModelCatalog, name: str) -> Iterator[str]:
    """The newest key that could be trained for, and what a newer one lacks."""
    if name not in catalog.models:
        return
    standing = key_standing(settings, catalog, name)
    yield f"\n  newest complete key  {standing.complete.key if standing.complete else 'none'}"
    if standing.because:
        yield f"  not trained for      {standing.because}"


def as_document(store: ModelStore, *, detailed: bool) -> dict[str, Any]:
    """For machines: what serves; ``detailed`` with every version and deployment."""
    state = store.state()
    document: dict[str, Any] = {
        "model": store.model,
        "serving": _deployment(state.serving),
        "trying": _deployment(state.trying),
    }
    if detailed:
        document["versions"] = [_version(each) for each in store.versions()]
        document["deployments"] = [_deployment(each) for each in store.log.all()]
    return document


def _version(version: Version) -> dict[str, Any]:
    artifact = version.artifact
    return {
        "version": artifact.version,
        "state": version.state,
        "since": iso(version.since) if version.since else None,
        "key": version.key,
        "created": iso(artifact.created),
        "metrics": artifact.metrics,
        "training_set": artifact.training_set,
        "uri": artifact.uri,
        "reason": version.reason,
    }


def _deployment(deployment: Deployment | None) -> dict[str, Any] | None:
    if deployment is None:
        return None
    return {name: value for name, value in deployment.to_document().items() if name != "serving"}


def _overview(store: ModelStore, judged: Sequence[str]) -> str:
    state = store.state()
    if state.serving is None:
        text = f"{store.model:24} nothing serves, {len(store.version_names())} versions"
    else:
        text = f"{store.model:24} {_summary(state.serving, judged)}"
    if state.trying is not None:
        text += f"; trying {state.trying.version} with {state.trying.percent}%"
    return text


def _summary(serving: Deployment, judged: Sequence[str]) -> str:
    since = f"since {serving.at:%Y-%m-%d %H:%M} UTC" if serving.at else ""
    return f"{serving.version} serves {since}, {_metrics(serving.metrics, judged)}"


def _detailed(store: ModelStore, judged: Sequence[str]) -> Iterator[str]:
    versions = store.versions()
    yield _overview(store, judged)
    for version in versions:
        since = f"{version.since:%Y-%m-%d %H:%M}" if version.since else ""
        yield f"\n  {version.artifact.version}  {version.state:12} {since}"
        yield f"    trained       {version.artifact.created:%Y-%m-%d %H:%M} UTC{_for(version.key)}"
        yield f"    metrics       {_metrics(version.artifact.metrics, judged)}"
        yield f"    training set  training_sets/{version.artifact.lockfile.get('name')}/{version.artifact.training_set}"
        if version.reason:
            yield f"    because       {version.reason.splitlines()[0]}"
    if not versions:
        yield f"  no version yet; start model__{store.model} in Airflow"
    if store.previous() is not None:
        yield f"\n  back to {store.previous()}: provender models rollback {store.model}"


def _for(key: str) -> str:
    return f", for {key}" if key else ""


def _judged(catalog: ModelCatalog, name: str) -> list[str]:
    """The metrics that the model's gate looks at."""
    spec = catalog.models.get(name)
    return list(dict.fromkeys(rule.metric for rule in spec.gate)) if spec else []


def _metrics(metrics: Mapping[str, float], first: Sequence[str]) -> str:
    names = dict.fromkeys([*(name for name in first if name in metrics), *sorted(metrics)])
    return ", ".join(f"{name} {metrics[name]:.4g}" for name in list(names)[:_SHOWN_METRICS]) or "no metrics"

"""Registers the feature repo's definitions with Feast: says what will change, then changes it.

Runs in its own process (``provender apply``): reading a feature repo imports its files and changes the process's
current directory, as ``feast apply`` does.

    views/*.py ─▶ Feast objects ─▶ checked against the specs ─▶ plan (printed) ─▶ registry, applied/<project>.json
"""

from __future__ import annotations

import argparse
import importlib
import json
import linecache
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from feast import FeatureStore
from feast.diff.registry_diff import FeastObjectDiff, diff_between
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.registry.registry import FEAST_OBJECT_TYPES
from feast.project import Project
from feast.repo_contents import RepoContents
from feast.repo_operations import extract_objects_for_apply_delete, parse_repo

from provender.errors import ProvenderError, SettingsError, SpecError
from provender.feast.definitions import applied_view
from provender.feast.differences import differences
from provender.feast.tables import resolve_in
from provender.online.marker import delete_marker
from provender.online.views import AppliedView, load_applied_views, save_applied_views
from provender.online.writer import OnlineWriter
from provender.settings import Settings, load_settings
from provender.specs.catalog import Catalog
from provender.storage import Storage, storage_at

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What an apply would change."""

    changes: list[str]
    """One line for each Feast object: a sign (+ ~ -), its kind, its name, and what changes in it."""
    views: list[AppliedView]
    """All feature views as the jobs will see them."""
    gone: list[AppliedView]
    """Applied views that are not defined any more: their online values will be removed."""


def plan(repo: Path | str | None) -> Plan:
    """What :func:`apply` would change; changes nothing (but a registry that is not there is created, empty).

    Raises :class:`SpecError` with everything that is wrong with the views, one line each.
    """
    settings = load_settings(repo)
    with _in_repo(settings.repo):
        return _prepare(settings)[0]


def apply(repo: Path | str | None, say: Say = print) -> Plan:
    """Prints what changes, then registers it, deletions included.

    Online values of deleted views are removed first, so the online store must be reachable if there are any.
    Raises :class:`SpecError` as :func:`plan`, :class:`OnlineStoreError`.
    """
    settings = load_settings(repo)
    with _in_repo(settings.repo):
        planned, store, contents = _prepare(settings)
        for line in planned.changes or ["nothing to change in the registry"]:
            say(line)
        storage = storage_at(settings.storage_root)
        _remove_online_values(settings, planned.gone, say)
        if planned.changes:
            to_apply, to_delete, _, _ = extract_objects_for_apply_delete(  # type: ignore[no-untyped-call]
                settings.project, store.registry, contents
            )
            store.apply(to_apply, objects_to_delete=to_delete, partial=False)
        save_applied_views(storage, settings.project, planned.views)
    return planned


def _prepare(settings: Settings) -> tuple[Plan, FeatureStore, RepoContents]:
    contents = _contents(settings)
    views = _check(settings, contents)
    store = FeatureStore(str(settings.repo))
    diffs = diff_between(store.registry, settings.project, contents).feast_object_diffs
    diffs.sort(key=lambda diff: (FEAST_OBJECT_TYPES.index(diff.feast_object_type), diff.name))
    changes = [line for line in map(_line, diffs) if line]
    known = {view.view for view in views}
    gone = [view for view in _applied(settings, storage_at(settings.storage_root)) if view.view not in known]
    return Plan(changes, views, gone), store, contents


def _contents(settings: Settings) -> RepoContents:
    """The Feast objects that the repo's files define."""
    try:
        contents = parse_repo(settings.repo)
    except ProvenderError:
        raise
    except Exception as error:  # a user's file may raise anything
        raise SpecError(
            f"a file of the feature repo cannot be imported: {type(error).__name__}: {error}",
            where=_place(error, settings.repo),
            unharmed="the registry",
            remedy="provender validate",
        ) from error
    names = [project.name for project in contents.projects]
    if names not in ([], [settings.project]):
        raise SettingsError(
            f"the repo defines project {', '.join(names)}, its settings say {settings.project}",
            where=str(settings.repo),
            remedy="give them one name",
        )
    if not names:
        contents.projects.append(Project(name=settings.project))
    return contents


def _check(settings: Settings, contents: RepoContents) -> list[AppliedView]:
    """All views for the jobs. Raises :class:`SpecError` with every problem, a line each."""
    catalog = Catalog.load(settings.repo)
    entities = {entity.name: entity for entity in contents.entities}
    applied: list[AppliedView] = []
    problems: list[str] = []
    for view in contents.feature_views:
        try:
            applied.append(applied_view(view, entities, resolve_in(settings, catalog, view.batch_source)))
        except SpecError as error:
            problems.append(error.what + (f"; {error.remedy}" if error.remedy else ""))
    if problems:
        raise SpecError(
            "\n".join(problems),
            where=str(settings.repo / "views"),
            unharmed="the registry",
            remedy="provender validate",
        )
    return applied


def _applied(settings: Settings, storage: Storage) -> list[AppliedView]:
    try:
        return load_applied_views(storage, settings.project)
    except SettingsError:
        return []  # the first apply


def _remove_online_values(settings: Settings, views: list[AppliedView], say: Say) -> None:
    """Feast's own clean-up leaves fields behind that it does not know, and does not unescape its pattern."""
    writer = OnlineWriter(settings.redis, settings.project)
    for view in views:
        if not view.online:
            continue
        removed = writer.sweep(view.layout, "no row has this generation")
        delete_marker(settings.redis, settings.project, view.view)
        say(f"- online values of {view.view}: {removed} entities")


def _line(diff: FeastObjectDiff) -> str | None:
    """One change for a person; None for no change."""
    if diff.name == DUMMY_ENTITY_NAME:
        return None
    kind = diff.feast_object_type.value
    if diff.current_feast_object is None or diff.new_feast_object is None:
        return f"{'+' if diff.current_feast_object is None else '-'} {kind} {diff.name}"
    details = differences(diff.current_feast_object, diff.new_feast_object)
    return f"~ {kind} {diff.name}: {', '.join(details)}" if details else None


def _place(error: BaseException, repo: Path) -> str:
    """The last line of the repo's own files in an error's trace."""
    place = str(repo)
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(repo):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


@contextmanager
def _in_repo(repo: Path) -> Iterator[None]:
    """Feast imports a repo's files as modules named by their path below the current directory.

    Afterwards they are forgotten: the next apply reads them anew, and another repo may have a ``views`` of its own.
    """
    before, wrote_bytecode = Path.cwd(), sys.dont_write_bytecode
    os.chdir(repo)
    sys.path.insert(0, str(repo))
    sys.dont_write_bytecode = True  # a file edited twice within a second must not be taken from its cache
    importlib.invalidate_caches()
    linecache.clearcache()  # Feast compares on-demand functions by their source text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        for name in [name for name, module in sys.modules.items() if _is_in(module, repo)]:
            del sys.modules[name]
        sys.dont_write_bytecode = wrote_bytecode
        sys.path.remove(str(repo))
        os.chdir(before)


def _is_in(module: ModuleType, repo: Path) -> bool:
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    return any(place is not None and Path(str(place)).is_relative_to(repo) for place in places)


def main(arguments: list[str] | None = None) -> int:
    """``python -m provender.feast.apply [--repo FOLDER] [--dry-run]``; answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="provender apply", description="Register the feature definitions with Feast."
    )
    parser.add_argument("--repo", type=Path, default=None, help="feature repo (default: the nearest one)")
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and stop")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.dry_run:
            show(plan(chosen.repo))
        else:
            apply(chosen.repo)
    except ProvenderError as error:
        print(error, file=sys.stderr)
        print(f"PROVENDER_ERROR {json.dumps(error.to_dict())}", file=sys.stderr)
        return error.exit_code
    return 0


def show(planned: Plan, say: Say = print) -> None:
    """Prints what an apply would do."""
    for line in planned.changes or ["nothing to change in the registry"]:
        say(line)
    for view in planned.gone:
        say(f"- online values of {view.view}")


if __name__ == "__main__":
    sys.exit(main())

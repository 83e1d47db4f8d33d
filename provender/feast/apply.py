"""Registers the feature repo's definitions with Feast: says what will change, then changes it.

Runs in its own process (``provender apply``): reading a feature repo imports its files and changes the process's
current directory, as ``feast apply`` does.

    views/*.py ─▶ Feast objects ─▶ checked against the specs ─▶ plan (printed) ─▶ registry, applied/<project>.json
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from feast import FeatureStore
from feast.diff.registry_diff import FeastObjectDiff, diff_between
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.registry.registry import FEAST_OBJECT_TYPES
from feast.repo_contents import RepoContents

from provender.errors import OnlineStoreError, SettingsError, SpecError
from provender.failures import run_job
from provender.feast import IMPORTED
from provender.feast.differences import differences
from provender.feast.merge import Named, load_states, merge, named, registered
from provender.feast.registry import (
    comparable_services,
    open_store,
    registry_errors,
    registry_lock,
    unreadable_entries,
)
from provender.feast.repo import in_repo, read_contents
from provender.feast.tables import resolve_in
from provender.feast.view_columns import applied_view
from provender.materialization.undefined import remove_views, views_there
from provender.online.undefined import views_not_defined
from provender.online.views import AppliedView, load_applied_views, load_former_views, save_applied_views
from provender.settings import Settings, load_settings
from provender.spark.interrupt import interrupter
from provender.specs.catalog import Catalog
from provender.specs.validation import find_in_sql
from provender.specs.view_services import ALIAS_REMEDY, repeated_views
from provender.specs.views import check as check_views
from provender.storage import Storage, storage_at
from provender.storage.source_lock import source_lock

logger = logging.getLogger("provender.feast.apply")  # its name when it runs as a program, too


@dataclass(frozen=True)
class Plan:
    """What an apply would change."""

    changes: list[str]
    """One line for each Feast object: a sign (+ ~ -), its kind, its name, and what changes in it."""
    views: list[AppliedView]
    """All feature views as the jobs will see them."""
    gone: list[AppliedView]
    """Views that were applied to be online and are not to be any more, with every definition they had: their online
    values will be removed."""
    kept: list[str]
    """One line for each object that another process registered, changed or removed meanwhile, and this repo does
    not: it stays theirs."""


@dataclass(frozen=True)
class _Work:
    """A plan and what it takes to do it."""

    plan: Plan
    to_apply: list[Any]
    to_delete: list[Any]


def plan(repo: Path | str | None) -> Plan:
    """What :func:`apply` would change; changes nothing (but a registry that is not there is created, empty).

    Raises :class:`SpecError` with everything that is wrong with the views, one line each, :class:`RegistryError`.
    """
    settings = load_settings(repo)
    with in_repo(settings.repo), registry_errors(settings), comparable_services():
        contents, views = _read(settings)
        return _work(settings, views, _differences(settings, open_store(settings), contents), {}).plan


def apply(repo: Path | str | None, began: datetime | None = None) -> Plan:
    """Log what changes, then register it, deletions included: the registry becomes what the repo says.

    Processes that apply at once do so one after the other, and what others applied since ``began`` (default: now)
    stays, unless this repo changes the same object in another way: then nothing is registered. Online values of
    views that are deleted, or not to be online any more, are removed first, when no materialization of their source
    runs, so the online store must be reachable if there are any.
    Raises :class:`SpecError` as :func:`plan` and for such an object, :class:`OnlineStoreError`,
    :class:`RegistryError`, :class:`LockHeldError`.
    """
    began = began or datetime.now(UTC)
    settings = load_settings(repo)
    storage = storage_at(settings.storage_root)
    with in_repo(settings.repo), registry_errors(settings), comparable_services():
        contents, views = _read(settings)
        store = open_store(settings)
        with registry_lock(settings, lambda holder: logger.info(f"waiting for another apply ({holder})")):
            before = _differences(settings, store, contents)
            states = load_states(storage, settings.project)
            work = _work(settings, views, before, states.changed_since(began))
            _register(settings, store, work)
            after = _differences(settings, store, contents)
            states.and_then(registered(before), registered(after)).save(storage, settings.project)
    return work.plan


def _register(settings: Settings, store: FeatureStore, work: _Work) -> None:
    for line in work.plan.changes or ["nothing to change in the registry"]:
        logger.info(line)
    for line in work.plan.kept:
        logger.info(line)
    storage = storage_at(settings.storage_root)
    with ExitStack() as locks:
        # A materialization that runs now would write the values of a view again that are removed here.
        for source in sorted({view.source for view in work.plan.gone}):
            locks.enter_context(
                source_lock(storage, source, "online", f"apply-{token_hex(4)}", interrupter(settings))
            )
        _remove_online_values(settings, work.plan)
        if work.plan.changes:
            store.registry.refresh(settings.project)
            store.apply(work.to_apply, objects_to_delete=work.to_delete, partial=False)
        save_applied_views(storage, settings.project, work.plan.views)
    _remove_what_came_back(settings, storage, work.plan)


def _differences(settings: Settings, store: FeatureStore, contents: RepoContents) -> list[FeastObjectDiff]:
    """The registry, as it is now, against the repo."""
    with unreadable_entries(settings):
        diffs = diff_between(store.registry, settings.project, contents).feast_object_diffs
    return sorted(diffs, key=lambda diff: (FEAST_OBJECT_TYPES.index(diff.feast_object_type), diff.name))


def _work(
    settings: Settings,
    views: list[AppliedView],
    diffs: list[FeastObjectDiff],
    changed: Mapping[Named, str | None],
) -> _Work:
    merged = merge(changed, diffs)
    if merged.conflicts:
        raise SpecError(
            "\n".join(
                f"{kind} {name}: another process changed it meanwhile, in another way"
                for kind, name in merged.conflicts
            ),
            where=str(settings.repo),
            not_affected="the registry: nothing of this apply is in it",
            remedy="bring the other change into this repo, then: provender apply",
        )
    ours = [diff for diff in diffs if named(diff) not in merged.theirs]
    applied, former = _applied(settings, storage_at(settings.storage_root))
    their_views = merged.their_views
    as_jobs_see = [view for view in views if view.view not in their_views]
    as_jobs_see += [view for name, view in applied.items() if name in their_views]
    online = {view.view for view in as_jobs_see if view.online}
    taken = {name for name, view in applied.items() if view.online and name not in online}
    planned = Plan(
        changes=[line for line in map(_line, ours) if line],
        views=as_jobs_see,
        gone=[view for view in (*former, *applied.values()) if view.view in taken and view.online],
        kept=[f"= {kind} {name}: as another process applied it" for kind, name in sorted(merged.theirs)],
    )
    return _Work(
        planned,
        [diff.new_feast_object for diff in ours if diff.new_feast_object is not None],
        [diff.current_feast_object for diff in ours if diff.new_feast_object is None],
    )


def _read(settings: Settings) -> tuple[RepoContents, list[AppliedView]]:
    """What the repo defines, and all views for the jobs. Raises :class:`SpecError` with every problem, a line each.

    Asked are the objects themselves and, as ``provender validate`` does, the texts: it has file and line for what
    Feast only says in a trace.
    """
    catalog = Catalog.load(settings.repo)
    try:
        contents = read_contents(settings)
    except SpecError:
        _refuse(settings, [str(problem) for problem in check_views(settings.repo, catalog)])
        raise
    views = _check(settings, catalog, contents)
    _refuse(settings, [str(problem) for problem in check_views(settings.repo, catalog)])
    _refuse(settings, find_in_sql(catalog, sorted({view.source for view in views})).problems)
    return contents, views


def _refuse(settings: Settings, problems: list[str]) -> None:
    if problems:
        raise SpecError(
            "\n".join(problems),
            where=str(settings.repo),
            not_affected="the registry",
            remedy="correct these lines, then: provender apply",
        )


def _check(settings: Settings, catalog: Catalog, contents: RepoContents) -> list[AppliedView]:
    entities = {entity.name: entity for entity in contents.entities}
    applied: list[AppliedView] = []
    problems: list[str] = []
    for view in contents.feature_views:
        try:
            applied.append(applied_view(view, entities, resolve_in(settings, catalog, view.batch_source)))
        except SpecError as error:
            problems.append(error.what + (f"; {error.remedy}" if error.remedy else ""))
    for service in contents.feature_services:
        chosen = [(each.name, each.name_alias) for each in service.feature_view_projections]
        problems += [
            f"feature service {service.name!r} has view {view!r} more than once under one name; {ALIAS_REMEDY}"
            for view in repeated_views(chosen)
        ]
    _refuse(settings, problems)
    return applied


def _applied(settings: Settings, storage: Storage) -> tuple[dict[str, AppliedView], list[AppliedView]]:
    """The views by name, and former definitions."""
    try:
        applied = load_applied_views(storage, settings.project)
        return {view.view: view for view in applied}, load_former_views(storage, settings.project)
    except SettingsError:
        return {}, []  # the first apply, or a document that this one writes again


def _remove_online_values(settings: Settings, planned: Plan) -> None:
    """Feast's own clean-up leaves fields behind that it does not know, and does not unescape its pattern."""
    names = {view.view for view in planned.gone}
    gone = views_not_defined(names, planned.views, planned.gone)
    remove_views(settings, gone.values(), planned.views)


def _remove_what_came_back(settings: Settings, storage: Storage, planned: Plan) -> None:
    """Removes views that an online store restored to an older state holds again. One that is away now is only named:
    nothing of this apply depends on it."""
    former = load_former_views(storage, settings.project)
    online = {view.view for view in planned.views if view.online}
    if not any(view.view not in online for view in former):
        return
    try:
        again = views_not_defined(views_there(settings), planned.views, former)
        remove_views(settings, again.values(), planned.views)
    except OnlineStoreError as error:
        logger.warning(
            f"the online store was not asked for views that are not defined any more: {error.what}"
        )


def _line(diff: FeastObjectDiff) -> str | None:
    """One change for a person; None for no change."""
    if diff.name == DUMMY_ENTITY_NAME:
        return None
    kind = diff.feast_object_type.value
    if diff.current_feast_object is None or diff.new_feast_object is None:
        return f"{'+' if diff.current_feast_object is None else '-'} {kind} {diff.name}"
    details = differences(diff.current_feast_object, diff.new_feast_object)
    return f"~ {kind} {diff.name}: {', '.join(details)}" if details else None


def main(arguments: list[str] | None = None) -> int:
    """``python -m provender.feast.apply [--repo FOLDER] [--dry-run] [--attempt NAME]``; answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="provender apply", description="Register the feature definitions with Feast."
    )
    parser.add_argument("--repo", type=Path, default=None, help="feature repo (default: the nearest one)")
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and stop")
    parser.add_argument("--attempt", help="name of this attempt, for its failure document")
    chosen = parser.parse_args(arguments)

    def work(settings: Settings) -> None:
        if chosen.dry_run:
            show(plan(settings.repo))
        else:
            apply(settings.repo, began=IMPORTED)

    return run_job(chosen.repo, chosen.attempt, work)


def show(planned: Plan) -> None:
    """Print what an apply would do."""
    for line in planned.changes or ["nothing to change in the registry"]:
        print(line)
    for name in sorted({view.view for view in planned.gone}):
        print(f"- online values of {name}")


if __name__ == "__main__":
    sys.exit(main())

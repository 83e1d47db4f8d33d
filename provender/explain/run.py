"""An explanation, put together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from provender.errors import LogNotFoundError, SpecError
from provender.explain.asked import Feature, Question, find_feature
from provender.explain.changes import Change, changes
from provender.explain.explanation import Explanation
from provender.explain.ledger_facts import LedgerFacts
from provender.explain.online_row import read_online
from provender.explain.raw_rows import RawRow, located
from provender.explain.recomputed import Recomputed, recompute
from provender.explain.states import Task
from provender.explain.versions import Answer, NullRule, Version, answer, current, read_versions
from provender.ledger import Ledger
from provender.online.views import load_applied_views
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.hashing import data_hash
from provender.storage import storage_at
from provender.tables.feature_log import FeatureLog


def explain(settings: Settings, question: Question, attempt: str) -> Explanation:
    """Explain a feature's value. Nothing is written.

    ``attempt`` names what is run on Spark. Raises :class:`SpecError` for a view, feature or key that there is not,
    :class:`SettingsError` if nothing is applied, :class:`OnlineStoreError` if the online store is asked and away.
    """
    storage = storage_at(settings.storage_root)
    feature = find_feature(load_applied_views(storage, settings.project), question)
    catalog = Catalog.load(settings.repo)
    source = catalog.source(feature.view.source)
    try:
        table = source.table(feature.view.table)
    except KeyError as error:
        raise SpecError(
            f"view {feature.view.view} reads a table that {source.name} has not: {feature.view.table}",
            not_affected="everything: nothing was written",
            remedy="provender apply",
        ) from error
    facts = LedgerFacts(Ledger(storage, source.name))
    log = FeatureLog(storage.uri(source.path_of(table)))
    versions = _versions(log, feature, facts)
    found = answer(versions, question.at, feature.ttl, known_then=question.known_then)
    told = found.version or found.nearest
    task = Task(settings, storage, catalog, source, table, facts, feature.keys, feature.column, attempt)
    again = _recomputed(task, versions, told) if question.recompute else None
    history = changes(source, facts, versions, told.event) if told else []
    return Explanation(
        question=question,
        feature=feature,
        source=source.name,
        table=table.name,
        sql=table.sql or "",
        spec=data_hash(source, catalog.sql_texts(source.name)),
        version=found.version,
        rule=_rule(found, history, is_derived=table.is_derived),
        nearest=found.nearest,
        changes=history,
        before=_neighbor(versions, told.event, -1) if told else None,
        after=_neighbor(versions, told.event, 1) if told else None,
        recomputed=again,
        raw_rows=_located(task, again),
        online=read_online(settings, feature, table, versions, facts) if question.online else None,
    )


def _versions(log: FeatureLog, feature: Feature, facts: LedgerFacts) -> list[Version]:
    try:
        known = feature.column in log.schema.names
        # A feature that no ingest has written yet is null in every version.
        column = feature.column if known else next(iter(feature.keys), "period")
        found = read_versions(log, feature.keys, column, facts.recorded_to)
    except LogNotFoundError:
        return []
    return (
        found
        if known
        else [Version(v.event, v.created, v.recorded, v.deleted, v.period, None) for v in found]
    )


def _rule(found: Answer, history: Sequence[Change], *, is_derived: bool) -> NullRule | None:
    if found.version is None:
        return found.rule
    return _null_value(found.version, history, is_derived=is_derived) if found.version.value is None else None


def _null_value(version: Version, history: Sequence[Change], *, is_derived: bool) -> NullRule:
    """Which rule made the value of a row that is there null."""
    own = next(change for change in history if change.version == version)
    later = [c for c in history if c.version.created == version.created and c.version.order > version.order]
    is_redefined = any(c.recorder and own.recorder and c.recorder.spec != own.recorder.spec for c in later)
    if is_redefined:
        return NullRule.COLUMN_ADDED_LATER
    return NullRule.AGGREGATE_OF_NOTHING if is_derived else NullRule.NULL_IN_RAW_ROW


def _recomputed(task: Task, versions: Sequence[Version], told: Version | None) -> Recomputed | None:
    if told is None:
        return None
    is_current = current(versions)[told.event] == told
    return recompute(task, told, is_current=is_current)


def _located(task: Task, again: Recomputed | None) -> Sequence[RawRow]:
    if again is None or again.rows is None:
        return ()
    return located(task.storage, task.source, task.facts, again.rows.table)


def _neighbor(versions: Sequence[Version], event: datetime, step: int) -> Version | None:
    """The row of the event timestamp before (-1) or after (1)."""
    rows = {moment: v for moment, v in current(versions).items() if not v.deleted}
    others = sorted(moment for moment in rows if (moment < event if step < 0 else moment > event))
    return rows[others[-1 if step < 0 else 0]] if others else None

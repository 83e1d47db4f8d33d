"""``provender status``: per source what is complete, missing, stale, quarantined and online."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from provender.cli import options
from provender.errors import OnlineStoreError, ProvenderError, SettingsError
from provender.intervals import Partition, compress, iso
from provender.ledger import Ledger
from provender.ledger.state import SourceState
from provender.ledger.status import OnlineView, SourceStatus, source_status
from provender.settings import Settings, load_settings
from provender.specs.catalog import Catalog
from provender.specs.hashing import data_hash
from provender.storage import storage_at

logger = logging.getLogger(__name__)

HELP = "show what is complete, missing, stale, quarantined and online, with the commands that fix it"
_SHOWN_KEYS = 3


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``status [SOURCE …] [--json]``."""
    parser: argparse.ArgumentParser = commands.add_parser("status", help=HELP, description=HELP)
    options.add_sources(parser)
    options.add_json(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Raises :class:`SpecError` for an unknown source."""
    settings = load_settings(args.repo)
    statuses = all_statuses(settings, args.sources, datetime.now(UTC))
    undefined = _undefined(settings)
    if args.json:
        documents = [
            as_document(status) | {"undefined_online": undefined.get(status.source.name, {})}
            for status in statuses
        ]
        options.print_json(documents)
        return 0
    blocks = [
        "\n".join(
            [*_lines(status), *_undefined_lines(undefined.pop(status.source.name, {}), status.source.name)]
        )
        for status in statuses
    ]
    if not args.sources:
        blocks += ["\n".join([source, *_undefined_lines(views, None)]) for source, views in undefined.items()]
    print("\n\n".join(blocks) or "there are no sources yet")
    return 0


def _undefined(settings: Settings) -> dict[str, dict[str, list[str]]]:
    """Source to view to what is online of it and not defined any more. An online store that is away is said to be."""
    from provender.materialization.undefined import still_online  # Redis, which the core has not

    try:
        return still_online(settings, storage_at(settings.storage_root))
    except (OnlineStoreError, SettingsError) as error:
        logger.warning(f"the online store was not asked for what is not defined any more: {error.what}")
        return {}


def _undefined_lines(views: dict[str, list[str]], source: str | None) -> Iterator[str]:
    """``source``: None where there is no such source any more."""
    from provender.materialization.undefined import WHOLE_VIEW

    for view, features in views.items():
        what = "the whole view" if features == [WHOLE_VIEW] else ", ".join(features)
        yield f"  still online   {view}: {what} (not defined any more)"
    if views:
        yield f"  fix with       {f'provender materialize {source}' if source else 'provender apply'}"


def all_statuses(settings: Settings, names: list[str], now: datetime) -> list[SourceStatus]:
    """The statuses of the sources ``names`` (all, if empty), by name."""

    from provender.online.views import load_applied_views

    catalog = Catalog.load(settings.repo)
    storage = storage_at(settings.storage_root)
    try:
        applied = load_applied_views(storage, settings.project)
    except SettingsError:
        applied = []  # nothing is applied yet, so nothing has to be online
    statuses = []
    for name in names or sorted(catalog.sources):
        source = catalog.source(name)
        views = [view.view for view in applied if view.source == name and view.online]
        spec = data_hash(source, catalog.sql_texts(name))
        state, published = Ledger(storage, name).state(), settings.bigquery is not None
        status = source_status(source, spec, state, now, views, is_published=published)
        statuses.append(_with_raw_files(settings, status, state))
    return statuses


def _with_raw_files(settings: Settings, status: SourceStatus, state: SourceState) -> SourceStatus:
    """Who may see the ledger may not see the raw files: then the rest is told all the same."""
    from provender.staging.raw_changes import raw_changes  # pyarrow takes a while to import

    try:
        found = raw_changes(settings, status.source, state.staged)
    except (ProvenderError, OSError) as error:
        return replace(status, raw_unknown=str(error).splitlines()[0])
    return replace(status, raw_changed=found.changed, raw_gone=found.gone)


def as_document(status: SourceStatus) -> dict[str, Any]:
    """The same for machines: partition keys, counts, ISO times."""
    return {
        "source": status.source.name,
        "cadence": str(status.source.cadence),
        "last_complete": status.last_complete.key if status.last_complete else None,
        "holes": [partition.key for partition in status.holes],
        "stale": [partition.key for partition in status.stale],
        "not_online": [partition.key for partition in status.not_online],
        "raw_changed": status.raw_changed,
        "raw_gone": [partition.key for partition in status.raw_gone],
        "raw_unknown": status.raw_unknown,
        "quarantined": dict(status.quarantined),
        "online": {view: _online(online) for view, online in status.online.items()},
        "not_published": [partition.key for partition in status.not_published],
        "commands": status.commands,
    }


def _online(view: OnlineView) -> dict[str, Any]:
    return {**view.entry.to_document(), "recorded_up_to": iso(view.up_to)}


def _lines(status: SourceStatus) -> Iterator[str]:
    source = status.source
    yield f"{source.name} ({source.cadence}, owner {source.owner})"
    yield f"  last complete  {status.last_complete or 'none'}"
    yield f"  holes          {_ranges(status.holes)}"
    yield f"  stale          {_ranges(status.stale)}"
    yield from _raw_lines(status)
    if status.not_online:
        yield f"  not online     {_ranges(status.not_online)}"
    if status.not_published:
        yield f"  not published  {_ranges(status.not_published)}"
    yield f"  quarantined    {_quarantined(status)}"
    if not status.online:
        yield "  online         nothing"
    for view, online in status.online.items():
        yield f"  online         {view}: recorded up to {iso(online.up_to)}"
    for command in status.commands:
        yield f"  fix with       {command}"
    if status.quarantined:
        yield f"  look at        provender quarantine list {source.name}"


def _raw_lines(status: SourceStatus) -> Iterator[str]:
    if status.raw_changed:
        partitions = [Partition.parse(status.source.cadence, key) for key in status.raw_changed]
        names = [name for found in status.raw_changed.values() for name in found]
        more = f" and {len(names) - _SHOWN_KEYS} more files" if len(names) > _SHOWN_KEYS else ""
        yield f"  raw changed    {_ranges(partitions)} ({', '.join(names[:_SHOWN_KEYS])}{more})"
    if status.raw_gone:
        yield f"  raw gone       {_ranges(status.raw_gone)}; the staged copies stay"
    if status.raw_unknown:
        yield f"  raw files      not compared: {status.raw_unknown}"


def _ranges(partitions: list[Partition]) -> str:
    ranges = compress(partitions)
    shown = [
        first.key if first == last else f"{first.key}..{last.key}" for first, last in ranges[:_SHOWN_KEYS]
    ]
    more = f" and {len(ranges) - _SHOWN_KEYS} more ranges" if len(ranges) > _SHOWN_KEYS else ""
    return f"{len(partitions)}: {', '.join(shown)}{more}" if partitions else "none"


def _quarantined(status: SourceStatus) -> str:
    if not status.quarantined:
        return "none"
    return f"{status.quarantined.rows} rows in {len(status.quarantined)} partitions"

"""A partition's delivery as it is now, wherever its rows are: files, a location that is cut, a database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from provender.intervals import Partition
from provender.records.folders import folder_values, named_with
from provender.settings import Settings
from provender.specs.source import Source
from provender.staging.additions import is_added
from provender.staging.delivery import require_location
from provender.staging.locate import raw_files, raw_location, require_raw_files
from provender.staging.raw_file import RawFile, local_file, passed_over
from provender.staging.select import selected_rows
from provender.staging.settle import quiet_seconds, require_unchanged, settled, stamps
from provender.staging.sql import sql_rows


@contextmanager
def found_files(
    settings: Settings, source: Source, partition: Partition, notes: list[str], counts: dict[str, int]
) -> Iterator[dict[str, RawFile]]:
    """Names to give the staged files, and the files to copy, for the time of copying them; adds to ``notes`` and
    ``counts``.

    Waits until files stand still. Raises :class:`SourceNotReadyError` where none are there, or one is still being
    written, and what cutting a location or asking a database raises. Not for sources on BigQuery.
    """
    quiet = quiet_seconds(settings, source)
    if source.raw.sql is None:
        notes += [
            f"the folder {folder} was passed over: raw.uri names the files beside it (/** at its end names all)"
            for folder in passed_over(raw_location(settings, source, partition))
        ]
    if source.raw.is_partitioned:
        yield distinct_names(source, settled(lambda: require_raw_files(settings, source, partition), quiet))
    elif source.raw.sql is not None:
        with sql_rows(settings, source, partition) as rows:
            if rows.without_time:
                notes.append(without_time(source, rows.without_time))
            if rows.unreadable:
                notes.append(_no_moment(source, rows.unreadable))
            yield {rows.path.name: local_file(rows.path)}
    else:
        files = settled(lambda: raw_files(settings, source, partition), quiet)
        before = stamps(files) if quiet else {}
        for file in files:
            require_location(source, file)
        with selected_rows(settings, source, partition) as selection:
            require_unchanged(files, before)
            notes += selection.notes
            if selection.unplaced:
                notes.append(
                    f"{selection.unplaced} of {selection.rows} raw rows have a missing or unreadable timestamp "
                    f"in {source.raw.time_column!r}, "
                    "or have too few or too many fields: each was staged with the row before it, to be quarantined"
                )
                counts["unplaced"] = selection.unplaced
            yield {path.name: local_file(path) for path in selection.paths}


def without_time(source: Source, rows: int) -> str:
    """The note about rows that no partition can have."""
    return (
        f"{rows} raw rows have no {source.raw.time_column!r}: they belong to no partition and were not staged"
    )


def _no_moment(source: Source, rows: int) -> str:
    return (
        f"{rows} raw rows have a {source.raw.time_column!r} that is no time: they belong to no partition and were not "
        "staged"
    )


def distinct_names(source: Source, files: list[RawFile]) -> dict[str, RawFile]:
    """Names that no reader takes for a pattern, a hidden file or another folder. Columns in the names of folders become
    part of them."""
    declared = [column.name for column in source.columns]
    names = [re.sub(r"[^A-Za-z0-9._=+-]", "-", file.name).lstrip("._") or "file" for file in files]
    names = [
        named_with(folder_values(file.where, declared), name) for name, file in zip(names, files, strict=True)
    ]
    names = [f"file-{name}" if is_added(name) else name for name in names]
    if len(set(names)) == len(names):
        return dict(zip(names, files, strict=True))
    return {f"{at:05d}-{name}": path for at, (name, path) in enumerate(zip(names, files, strict=True))}

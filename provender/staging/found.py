"""A partition's delivery as it is now, wherever its rows are: files, a location that is cut, a database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from provender.intervals import Partition
from provender.settings import Settings
from provender.specs.model import Source
from provender.staging.additions import is_added
from provender.staging.delivery import require_location
from provender.staging.locate import raw_files, require_raw_files
from provender.staging.raw_file import RawFile, local_file
from provender.staging.select import selected_rows
from provender.staging.settle import quiet_seconds, require_unchanged, settled, stamps
from provender.staging.sql import sql_rows


@contextmanager
def found_files(
    settings: Settings, source: Source, partition: Partition, notes: list[str]
) -> Iterator[dict[str, RawFile]]:
    """Names to give the staged files, and the files to copy, for the time of copying them; adds to ``notes``.

    Waits until files stand still. Raises :class:`SourceNotReadyError` where none are there, or one is still being
    written, and what cutting a location or asking a database raises. Not for sources on BigQuery.
    """
    quiet = quiet_seconds(settings, source)
    if source.raw.is_partitioned:
        yield distinct_names(settled(lambda: require_raw_files(settings, source, partition), quiet))
    elif source.raw.sql is not None:
        with sql_rows(settings, source, partition) as rows:
            if rows.without_time:
                notes.append(without_time(source, rows.without_time))
            yield {rows.path.name: local_file(rows.path)}
    else:
        files = settled(lambda: raw_files(settings, source, partition), quiet)
        before = stamps(files) if quiet else {}
        for file in files:
            require_location(source, file)
        with selected_rows(settings, source, partition) as selection:
            require_unchanged(files, before)
            if selection.unplaced:
                notes.append(
                    f"{selection.unplaced} of {selection.rows} raw rows name no moment in {source.raw.time_column!r}, "
                    "or have too few or too many fields: they belong to no partition and were not staged"
                )
            yield {selection.path.name: local_file(selection.path)}


def without_time(source: Source, rows: int) -> str:
    """The note about rows that no partition can have."""
    return (
        f"{rows} raw rows have no {source.raw.time_column!r}: they belong to no partition and were not staged"
    )


def distinct_names(files: list[RawFile]) -> dict[str, RawFile]:
    """Names that no reader takes for a pattern, a hidden file or another folder."""
    names = [re.sub(r"[^A-Za-z0-9._=+-]", "-", file.name).lstrip("._") or "file" for file in files]
    names = [f"file-{name}" if is_added(name) else name for name in names]
    if len(set(names)) == len(names):
        return dict(zip(names, files, strict=True))
    return {f"{at:05d}-{name}": path for at, (name, path) in enumerate(zip(names, files, strict=True))}

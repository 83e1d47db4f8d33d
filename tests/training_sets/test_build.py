from __future__ import annotations

import pytest

from provender.errors import SourceNotReadyError, TrainingSetError
from provender.feast.training_set import build
from provender.storage import local_path, storage_at
from provender.training_sets import build as module
from provender.training_sets.build import attempts_set
from provender.training_sets.folder import open_training_set, training_sets
from provender.training_sets.lockfile import Lockfile
from provender.training_sets.request import Request
from tests.feast.conftest import version
from tests.training_sets.conftest import Builder, files


def test_rows_come_in_order_of_time_with_the_features_named_by_view(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), version(1, 11, 60), recorded=500)
    built = builder.build((1, 90, 1), (1, 30, 0), (7, 30, 0))
    assert built.is_new
    assert built.data().select(
        ["driver_id", "tip", "driver_trips__trips", "driver_trips__rate"]
    ).to_pylist() == [
        {"driver_id": 1, "tip": 0, "driver_trips__trips": 10, "driver_trips__rate": 5.0},
        {"driver_id": 7, "tip": 0, "driver_trips__trips": None, "driver_trips__rate": None},
        {"driver_id": 1, "tip": 1, "driver_trips__trips": 11, "driver_trips__rate": 5.5},
    ]


def test_a_value_stamped_one_second_into_the_future_is_kept_out(builder: Builder) -> None:
    leaking = [version(driver, driver % 2, 60 + 1 / 60) for driver in range(1, 9)]
    builder.shop.ingest(*leaking, recorded=500)
    rows = [(driver, 60.0, driver % 2) for driver in range(1, 9)]
    assert builder.build(*rows).data().column("driver_trips__trips").null_count == 8
    a_second_later = [(driver, 60 + 1 / 60, label) for driver, _, label in rows]
    data = builder.build(*a_second_later).data()
    assert data.column("driver_trips__trips").to_pylist() == data.column("tip").to_pylist()


def test_a_value_known_one_second_too_late_is_kept_out_as_known(builder: Builder) -> None:
    builder.shop.ingest(version(1, 1, 0, 60 + 1 / 60), recorded=500)
    assert builder.build((1, 60, 1)).data().column("driver_trips__trips").to_pylist() == [None]
    plain = builder.build((1, 60, 1), as_known=False)
    assert plain.data().column("driver_trips__trips").to_pylist() == [1]


def test_the_same_inputs_are_found_and_nothing_is_written(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    first = builder.build((1, 20, 0), (1, 30, 1))
    lockfile = local_path(first.lockfile_uri).read_bytes()
    again = builder.build((1, 30, 1), (1, 20, 0))
    assert (again.uri, again.is_new) == (first.uri, False)
    assert local_path(again.lockfile_uri).read_bytes() == lockfile


def test_the_lockfile_reads_back_as_it_was_written_and_shows_an_edit(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build((1, 20, 0))
    data = local_path(built.lockfile_uri).read_bytes()
    assert Lockfile.from_bytes(data, "here") == built.lockfile
    with pytest.raises(TrainingSetError, match="was edited"):
        Lockfile.from_bytes(data.replace(b'"ttl_seconds": 7200.0', b'"ttl_seconds": 7201.0'), "here")
    with pytest.raises(TrainingSetError, match="no lockfile"):
        Lockfile.from_bytes(b'{"format": 1}', "here")


def test_a_crash_before_the_lockfile_leaves_nothing_visible(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)

    class Killed(BaseException):
        pass

    def die(*_: object) -> str:
        raise Killed

    monkeypatch.setattr(module, "render", die)
    with pytest.raises(Killed):
        builder.build((1, 20, 0))
    storage = storage_at(builder.settings.storage_root)
    assert {"data.parquet", "entities.parquet"} == {
        name.rsplit("/", 1)[1] for name in files(local_path(storage.uri("training_sets")))
    }
    assert list(training_sets(storage)) == []
    monkeypatch.undo()
    assert builder.build((1, 20, 0)).is_new


def test_an_attempt_names_the_set_it_ended_in_whoever_built_it(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build((1, 20, 0))
    request = Request(
        "tips", builder.entities((1, 20, 0)), ("driver_trips:trips", "driver_trips:rate"), label="tip"
    )
    build(builder.settings, request, "second")
    found = attempts_set(builder.settings, "tips", "second")
    assert found is not None and found.uri == built.uri
    assert attempts_set(builder.settings, "tips", "third") is None


def test_a_set_is_found_by_id_folder_and_lockfile(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build((1, 20, 0))
    storage = storage_at(builder.settings.storage_root)
    folder = local_path(built.uri)
    for reference in (
        built.lockfile.id,
        built.uri,
        built.lockfile_uri,
        str(folder),
        f"{folder}/lockfile.json",
    ):
        assert open_training_set(storage, reference).lockfile == built.lockfile
    with pytest.raises(TrainingSetError, match="no training set"):
        open_training_set(storage, "0123456789abcdef")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"features": ("driver_trips:trips", "sums:total")}, "on-demand views .*: sums"),
        ({"features": "everything"}, "on-demand views .*: sums"),
        ({"features": ("nobody:trips",)}, "not applied.*nobody"),
        ({"features": "nothing"}, "not applied.*nothing"),
        ({"label": "absent", "is_for_training": True}, "no column absent"),
    ],
)
def test_what_cannot_be_is_refused_by_name(builder: Builder, asked: dict[str, object], message: str) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    with pytest.raises(TrainingSetError, match=message):
        builder.build((1, 20, 0), **asked)


def test_a_source_that_was_never_ingested_is_an_error_with_the_command(builder: Builder) -> None:
    with pytest.raises(SourceNotReadyError) as caught:
        builder.build((1, 20, 0))
    assert "provender ingest trips" in str(caught.value)


def test_entity_rows_without_time_or_rows_are_refused(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    path = builder.shop.root / "rows.csv"
    for text, message in (
        ("driver_id\n1\n", "no column event_timestamp"),
        ("driver_id,event_timestamp\n", "no entity rows"),
    ):
        path.write_text(text)
        with pytest.raises(TrainingSetError, match=message):
            build(builder.settings, Request("tips", str(path), ("driver_trips:trips",)), "a")

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest

from provender.errors import DamagedFileError
from provender.ledger import Draft, Job, Kind, Ledger
from provender.storage import FileStorage
from tests.manifests import ingested

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path.as_uri())


def draft(attempt: str, kind: Kind = Kind.MANIFEST) -> Draft:
    return Draft(Job.INGEST, attempt, kind, {"2026-01-01": ingested()}, started=NOON, recorded_up_to=NOON)


def test_manifests_are_numbered_and_found_by_attempt(storage: FileStorage) -> None:
    ledger = Ledger(storage, "s")
    numbers = [ledger.commit(draft(attempt)).number for attempt in ("a", "b", "a")]
    assert numbers == [1, 2, 3]
    found = ledger.find_attempt(Job.INGEST, "a")
    assert found is not None
    assert found.number == 3
    assert ledger.find_attempt(Job.INGEST, "never") is None
    assert ledger.find_attempt(Job.STAGE, "a") is None
    assert found.recorded_up_to == NOON


def test_committers_at_once_get_numbers_of_their_own(storage: FileStorage) -> None:
    barrier = Barrier(8)

    def commit(number: int) -> None:
        barrier.wait()
        Ledger(storage, "s").commit(draft(f"attempt {number}"))

    threads = [Thread(target=commit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manifests = Ledger(storage, "s").manifests(Job.INGEST)
    assert [manifest.number for manifest in manifests] == list(range(1, 9))
    assert len({manifest.attempt for manifest in manifests}) == 8


def test_what_a_killed_committer_left_is_no_manifest(storage: FileStorage) -> None:
    folder = "ledger/s/ingest"
    storage.create(f"{folder}/.tmp-half", b'{"half')
    ledger = Ledger(storage, "s")
    assert ledger.manifests(Job.INGEST) == []
    assert ledger.state().recorded_up_to is None
    assert ledger.commit(draft("next")).number == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"[]", b"null", b"\x80\x00\xff", b'{"number": 1, "attempt": "a"}'],
    ids=["empty", "cut", "no fields", "a list", "null", "binary", "half of the fields"],
)
def test_a_manifest_that_cannot_be_read_is_one_error_with_its_place_and_the_way_out(
    storage: FileStorage, content: bytes
) -> None:
    Ledger(storage, "s").commit(draft("good"))
    storage.create("ledger/s/ingest/00000002.json", content)
    for read in (lambda led: led.manifests(Job.INGEST), lambda led: led.last(Job.INGEST)):
        with pytest.raises(DamagedFileError) as caught:
            read(Ledger(storage, "s"))
        assert caught.value.where.endswith("ledger/s/ingest/00000002.json")
        assert "provender status s" in caught.value.remedy
    storage.delete_tree("ledger/s/ingest/00000002.json")
    assert Ledger(storage, "s").commit(draft("next")).number == 2


@pytest.mark.parametrize(
    ("field", "value"), [("job", "bake"), ("committed", "yesterday"), ("counts", []), ("format", 2)]
)
def test_a_manifest_with_a_field_that_cannot_be_is_named(
    storage: FileStorage, field: str, value: object
) -> None:
    document = Ledger(storage, "s").commit(draft("good")).to_document()
    storage.create("ledger/s/ingest/00000002.json", json.dumps({**document, field: value}).encode())
    with pytest.raises(DamagedFileError):
        Ledger(storage, "s").manifests(Job.INGEST)


def test_copies_that_somebody_left_beside_the_manifests_are_none(storage: FileStorage) -> None:
    Ledger(storage, "s").commit(draft("good"))
    storage.create("ledger/s/ingest/00000001 (copy).json", b"")
    storage.create("ledger/s/ingest/notes.json", b"")
    ledger = Ledger(storage, "s")
    assert [manifest.number for manifest in ledger.manifests(Job.INGEST)] == [1]
    assert ledger.commit(draft("next")).number == 2


def test_no_manifest_is_committed_before_it_was_started_whatever_the_clock_says(storage: FileStorage) -> None:
    set_back = Ledger(storage, "s", clock=lambda: NOON - timedelta(hours=1)).commit(draft("a"))
    assert set_back.seconds == 0
    assert set_back.number == 1

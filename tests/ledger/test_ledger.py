from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Thread

import pytest

from provender.errors import StorageError
from provender.intervals import iso
from provender.ledger import Draft, Job, Kind, Ledger
from provender.ledger.progress import recorded_up_to
from provender.storage import FileStorage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path.as_uri())


def draft(attempt: str, kind: Kind = Kind.MANIFEST) -> Draft:
    return Draft(Job.INGEST, attempt, kind, {"2026-01-01": {}}, started=NOON, recorded_up_to=NOON)


def test_manifests_are_numbered_and_found_by_attempt(storage: FileStorage) -> None:
    ledger = Ledger(storage, "s")
    numbers = [ledger.commit(draft(attempt)).number for attempt in ("a", "b", "a")]
    assert numbers == [1, 2, 3]
    found = ledger.find_attempt(Job.INGEST, "a")
    assert found is not None
    assert found.number == 3
    assert ledger.find_attempt(Job.INGEST, "never") is None
    assert ledger.find_attempt(Job.STAGE, "a") is None
    assert found.document["recorded_up_to"] == iso(NOON)


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
    assert recorded_up_to(ledger) is None
    assert ledger.commit(draft("next")).number == 1


def test_a_manifest_that_is_not_json_is_one_sentence_with_its_place(storage: FileStorage) -> None:
    storage.create("ledger/s/ingest/00000001.json", b"{")
    with pytest.raises(StorageError, match="not JSON") as caught:
        Ledger(storage, "s").manifests(Job.INGEST)
    assert "00000001.json" in caught.value.where

"""What can go wrong between here and Google Cloud Storage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provender.errors import AlreadyExistsError, DamagedFileError, LockHeldError, SettingsError, StorageError
from provender.storage import storage_at
from provender.storage.gcs import GcsStorage
from provender.storage.gcs.objects import put
from tests.gcs import GcsServer
from tests.proxy import BreakingProxy
from tests.servers import free_port

pytestmark = pytest.mark.gcs
LEASE_SECONDS = 3.0
"""Long enough for a holder to show signs of life on a busy machine."""
Broken = tuple[GcsServer, BreakingProxy]


@pytest.fixture
def storage(gcs_server: GcsServer) -> GcsStorage:
    return GcsStorage(f"gs://{gcs_server.new_bucket()}", lease_seconds=LEASE_SECONDS)


@pytest.fixture
def broken_storage(breaking_gcs: Broken) -> GcsStorage:
    return GcsStorage(f"gs://{breaking_gcs[0].new_bucket()}/root", lease_seconds=LEASE_SECONDS)


def test_a_write_is_refused_where_another_generation_is(storage: GcsStorage) -> None:
    from google.api_core.exceptions import PreconditionFailed

    first = put(storage._bucket, "a", b"1", 0)
    second = put(storage._bucket, "a", b"2", first)
    for stale in (0, first):
        with pytest.raises(PreconditionFailed):
            put(storage._bucket, "a", b"3", stale)
    assert storage.read("a") == b"2"
    assert second > first


@pytest.mark.slow
def test_thousands_of_names_come_in_pages(storage: GcsStorage) -> None:
    wanted = [f"{number:05d}.json" for number in range(2_500)]
    bucket = storage._bucket
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: bucket.blob(f"l/{name}").upload_from_string(b""), wanted))
    assert storage.names("l") == wanted
    storage.delete_tree("l")
    assert storage.names("l") == []


def test_a_folder_marker_of_hadoop_is_no_file(storage: GcsStorage) -> None:
    storage._bucket.blob("a/").upload_from_string(b"")
    storage._bucket.blob("a/b/").upload_from_string(b"")
    assert storage.names("a") == ["b"]
    assert storage.exists("a")


@pytest.mark.parametrize("size", [1 << 20, pytest.param(20 << 20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("cut_at", [0.02, 0.6])
def test_an_upload_that_is_cut_in_the_middle_is_sent_again(
    breaking_gcs: Broken, broken_storage: GcsStorage, size: int, cut_at: float
) -> None:
    _, proxy = breaking_gcs
    content = bytes(range(256)) * (size // 256)
    proxy.break_upload_after(int(size * cut_at))
    with broken_storage.writing("a/file") as file:
        file.write(content)
    assert proxy.breaks == 1
    assert broken_storage.read("a/file") == content


def test_a_file_whose_upload_is_cut_for_good_is_not_there(
    breaking_gcs: Broken, broken_storage: GcsStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.cloud.storage.retry import DEFAULT_RETRY

    monkeypatch.setattr("provender.storage.gcs.storage.DEFAULT_RETRY", DEFAULT_RETRY.with_timeout(0.5))
    _, proxy = breaking_gcs
    with (
        pytest.raises(StorageError, match="does not answer") as caught,
        broken_storage.writing("a/file") as f,
    ):
        f.write(bytes(20 << 20))
        proxy.break_uploads_after(12 << 20)
    assert "run the same command again" in str(caught.value)
    assert proxy.breaks >= 1
    proxy.fix()
    assert broken_storage.names("a") == []


def test_a_retry_finds_its_own_first_try(breaking_gcs: Broken, broken_storage: GcsStorage) -> None:
    _, proxy = breaking_gcs
    proxy.lose_answers()
    broken_storage.create("ledger/00000001.json", b"mine")
    assert proxy.breaks == 1
    assert broken_storage.read("ledger/00000001.json") == b"mine"


def test_a_retry_does_not_take_anothers_equal_bytes_for_its_own(
    breaking_gcs: Broken, broken_storage: GcsStorage
) -> None:
    _, proxy = breaking_gcs
    broken_storage.create("ledger/00000001.json", b"same")
    proxy.lose_answers()
    with pytest.raises(AlreadyExistsError):
        broken_storage.create("ledger/00000001.json", b"same")
    assert proxy.breaks == 1


def test_a_lock_survives_lost_answers(breaking_gcs: Broken, broken_storage: GcsStorage) -> None:
    _, proxy = breaking_gcs
    proxy.lose_answers()
    with broken_storage.lock("t", "first", timeout_seconds=10) as held:
        proxy.lose_answers()
        held.announce(["p"])
        proxy.lose_answers()
        held.finish()
    with broken_storage.lock("t", "next", timeout_seconds=0) as held:
        assert held.abandoned_by is None
    assert proxy.breaks == 3


def killed_holder(storage: GcsStorage, announced: list[str]) -> None:
    """Takes lock ``t`` as ``dead`` in a process that then dies by SIGKILL."""
    code = (
        "import os, signal\n"
        "from provender.storage.gcs import GcsStorage\n"
        f"storage = GcsStorage({storage.root!r}, lease_seconds={LEASE_SECONDS})\n"
        "with storage.lock('t', 'dead', timeout_seconds=0) as held:\n"
        f"    held.announce({announced!r})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.slow
def test_a_killed_holder_gives_the_lock_away_after_its_lease(storage: GcsStorage) -> None:
    killed_holder(storage, ["p"])
    with pytest.raises(LockHeldError, match="dead"), storage.lock("t", "hasty", timeout_seconds=0):
        raise AssertionError
    with storage.lock("t", "next", timeout_seconds=30) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("dead", ["p"])
        held.finish()
    with storage.lock("t", "after", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == (None, [])


@pytest.mark.slow
def test_of_many_that_wait_for_a_dead_holder_one_gets_the_lock(storage: GcsStorage) -> None:
    killed_holder(storage, ["p"])
    finishers: list[str] = []

    def work(name: str) -> None:
        with storage.lock("t", name, timeout_seconds=60) as held:
            if held.abandoned_by == "dead":
                finishers.append(name)
                held.finish()

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(finishers) == 1


@pytest.mark.slow
def test_a_slow_holder_keeps_the_lock(storage: GcsStorage) -> None:
    with storage.lock("t", "slow", timeout_seconds=0) as held:
        held.announce(["p"])
        with pytest.raises(LockHeldError, match="slow"):
            with storage.lock("t", "second", timeout_seconds=2 * LEASE_SECONDS):
                raise AssertionError
        held.finish()


def take_over(storage: GcsStorage) -> None:
    """Gives lock ``t`` to ``other``, whoever holds it."""
    from google.api_core.exceptions import PreconditionFailed

    while True:
        blob = storage._bucket.get_blob("locks/t")
        note = {**json.loads(blob.download_as_bytes()), "owner": "other", "holder": "other's"}
        try:
            put(storage._bucket, "locks/t", json.dumps(note).encode(), blob.generation)
            return
        except PreconditionFailed:
            continue  # the holder gave a sign of life in between


@pytest.mark.parametrize("use", ["announce", "finish", "leave"])
def test_a_holder_that_was_taken_for_dead_learns_it_and_disturbs_nobody(
    storage: GcsStorage, use: str
) -> None:
    with pytest.raises(LockHeldError, match="lost its lease"):
        with storage.lock("t", "a", timeout_seconds=0) as held:
            take_over(storage)
            if use == "announce":
                held.announce(["p"])
            elif use == "finish":
                held.finish()
    assert json.loads(storage.read("locks/t"))["owner"] == "other"


def test_the_error_of_the_work_is_told_rather_than_that_of_the_lock(storage: GcsStorage) -> None:
    with pytest.raises(RuntimeError), storage.lock("t", "a", timeout_seconds=0):
        take_over(storage)
        raise RuntimeError
    assert json.loads(storage.read("locks/t"))["owner"] == "other"


def test_a_bucket_that_is_not_there_is_one_sentence(gcs_server: GcsServer) -> None:
    storage = storage_at("gs://no-such-bucket/root")
    for use in (lambda: storage.names("a"), lambda: storage.create("a/x", b"")):
        with pytest.raises(StorageError, match="no such bucket"):
            use()


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.cloud.storage.retry import DEFAULT_RETRY

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    storage = storage_at("gs://bucket/root")
    quick = DEFAULT_RETRY.with_timeout(0.2)
    with pytest.raises(StorageError, match="does not answer"):
        from provender.storage.gcs.client import translated

        with translated(storage.root):
            put(storage._bucket, "a", b"", 0, retry=quick, timeout=1)  # type: ignore[attr-defined]


def test_without_credentials_it_says_how_to_give_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(SettingsError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        storage_at("gs://bucket/root").names("a")


def test_a_root_without_a_bucket_is_refused() -> None:
    with pytest.raises(SettingsError, match="names no bucket"):
        storage_at("gs:///root")


def test_a_copy_on_the_server_needs_no_bytes_here(storage: GcsStorage, gcs_server: GcsServer) -> None:
    source = storage_at(f"gs://{gcs_server.new_bucket()}/raw")
    source.create("in/file.csv", b"1,2\n")
    blob = source._bucket.get_blob("raw/in/file.csv")  # type: ignore[attr-defined]
    assert storage.copy(f"{source.uri('in/file.csv')}#{blob.generation}", "staging/file.csv")
    assert storage.read("staging/file.csv") == b"1,2\n"
    assert not storage.copy("file:///etc/hostname", "staging/other")


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b'{"owner": 1, "work": [], "left_by": null}'])
def test_a_lock_that_cannot_be_read_is_one_error_with_its_place_and_the_way_out(
    storage: GcsStorage, content: bytes
) -> None:
    storage._bucket.blob("locks/readings.tables").upload_from_string(content)
    with pytest.raises(DamagedFileError, match="nobody knows") as caught:
        with storage.lock("readings.tables", "next", timeout_seconds=0):
            raise AssertionError
    assert caught.value.where.endswith("/locks/readings.tables")
    storage.delete_tree("locks/readings.tables")
    with storage.lock("readings.tables", "next", timeout_seconds=0) as held:
        assert held.abandoned_work == []


def test_a_lock_of_a_newer_version_with_more_fields_is_read(storage: GcsStorage) -> None:
    note = {
        "owner": "a",
        "holder": None,
        "lease_seconds": 3.0,
        "beats": 4,
        "work": ["p"],
        "left_by": "a",
        "new": 1,
    }
    storage._bucket.blob("locks/t").upload_from_string(json.dumps(note))
    with storage.lock("t", "next", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("a", ["p"])

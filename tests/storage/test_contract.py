"""What every storage gives: one suite, run on each."""

from __future__ import annotations

import threading

import pytest

from provender.errors import AlreadyExistsError, LockHeldError, StorageError
from provender.storage import FileStorage, Storage

LEASE_SECONDS = 5.0
"""Long enough for a holder to show signs of life on a busy machine."""


def _folder(request: pytest.FixtureRequest) -> Storage:
    return FileStorage((request.getfixturevalue("tmp_path") / "root").as_uri())


def _bucket(request: pytest.FixtureRequest) -> Storage:
    from provender.storage.gcs import GcsStorage

    bucket = request.getfixturevalue("gcs_server").new_bucket()
    return GcsStorage(f"gs://{bucket}/some/root", lease_seconds=LEASE_SECONDS)


BACKENDS = [
    pytest.param(_folder, id="file"),
    pytest.param(_bucket, id="gcs", marks=pytest.mark.gcs),
]


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest) -> Storage:
    made: Storage = request.param(request)
    return made


def test_what_is_created_is_read_and_listed(storage: Storage) -> None:
    storage.create("a/one", b"1")
    storage.create("a/deep/two", b"22")
    assert storage.read("a/one") == b"1"
    assert storage.names("a") == ["deep", "one"]
    assert storage.names("a/deep") == ["two"]
    assert storage.exists("a/one") and storage.exists("a") and storage.exists("a/deep")
    assert not storage.exists("a/o") and not storage.exists("b")


def test_a_file_that_is_there_is_not_created_again(storage: Storage) -> None:
    storage.create("a/one", b"first")
    with pytest.raises(AlreadyExistsError):
        storage.create("a/one", b"second")
    with pytest.raises(AlreadyExistsError):
        storage.create("a/one", b"first")
    assert storage.read("a/one") == b"first"


def test_of_many_creators_one_succeeds(storage: Storage) -> None:
    outcomes: list[str] = []

    def create(number: int) -> None:
        try:
            storage.create("a/one", b"%d" % number)
            outcomes.append(str(number))
        except AlreadyExistsError:
            pass

    threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [storage.read("a/one").decode()] == outcomes


@pytest.mark.parametrize("size", [0, 10, 9 << 20])
def test_what_is_written_appears_when_the_block_ends(storage: Storage, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    with storage.writing("a/file") as file:
        file.write(content[:size])
        assert not storage.exists("a/file")
    assert storage.read("a/file") == content[:size]
    with storage.writing("a/file") as file:
        file.write(b"new")
    assert storage.read("a/file") == b"new"


@pytest.mark.parametrize("size", [4, 20 << 20])
def test_a_writer_that_fails_leaves_nothing(storage: Storage, size: int) -> None:
    with pytest.raises(RuntimeError), storage.writing("a/file") as file:
        file.write(bytes(size))
        raise RuntimeError
    assert not storage.exists("a/file")
    assert storage.names("a") == []


def test_a_writer_that_fails_after_closing_leaves_nothing(storage: Storage) -> None:
    with pytest.raises(RuntimeError), storage.writing("a/file") as file:
        with file:
            file.write(b"half")
        raise RuntimeError
    assert not storage.exists("a/file")


def test_an_opened_file_can_be_read_in_parts_and_sought(storage: Storage) -> None:
    content = bytes(range(256)) * 40_000
    with storage.writing("a/file") as file:
        file.write(content)
    with storage.open("a/file") as opened:
        assert opened.read(3) == content[:3]
        opened.seek(-5, 2)
        assert opened.read() == content[-5:]
        opened.seek(9_000_000)
        assert opened.read(1000) == content[9_000_000:9_001_000]
        opened.seek(0)
        assert opened.read() == content


def test_many_files_are_read_in_the_order_asked_for(storage: Storage) -> None:
    for number in range(25):
        storage.create(f"a/{number}", str(number).encode())
    wanted = [7, 24, 0, 7, *range(25)]
    assert storage.read_all([f"a/{number}" for number in wanted]) == [str(n).encode() for n in wanted]
    assert storage.read_all([]) == []
    with pytest.raises(FileNotFoundError):
        storage.read_all(["a/1", "a/none"])


@pytest.mark.parametrize("use", ["read", "open"])
def test_a_file_that_is_not_there_is_not_found(storage: Storage, use: str) -> None:
    with pytest.raises(FileNotFoundError):
        getattr(storage, use)("a/none")


def test_names_of_a_folder_that_is_not_there_are_none(storage: Storage) -> None:
    storage.create("a/one", b"")
    assert storage.names("b") == storage.names("a/one") == storage.names("a/o") == []


def test_a_deleted_tree_is_gone_and_its_neighbours_are_not(storage: Storage) -> None:
    for path in ("a/t/one", "a/t/deep/two", "a/tree", "a/t.json"):
        storage.create(path, b"x")
    storage.delete_tree("a/t")
    assert storage.names("a") == ["t.json", "tree"]
    storage.delete_tree("a/tree")
    assert storage.names("a") == ["t.json"]
    storage.delete_tree("a/none")


@pytest.mark.parametrize("name", ["a b", "ü%20#?", "x=1"])
def test_names_may_hold_what_urls_encode(storage: Storage, name: str) -> None:
    storage.create(f"a/{name}", b"1")
    assert storage.names("a") == [name]
    assert storage.read(f"a/{name}") == b"1"


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "", "a\0b"])
def test_paths_that_leave_the_root_are_refused(storage: Storage, path: str) -> None:
    for use in (storage.read, storage.uri, storage.exists, storage.delete_tree, storage.names):
        with pytest.raises(StorageError):
            use(path)
    with pytest.raises(StorageError):
        storage.create(path, b"")


def test_a_lock_has_one_holder_and_says_whom_one_waits_for(storage: Storage) -> None:
    waited_for: list[str] = []
    with storage.lock("t", "first", timeout_seconds=0):
        with pytest.raises(LockHeldError, match="first"):
            with storage.lock("t", "second", timeout_seconds=0.5, waiting=waited_for.append):
                raise AssertionError
        with storage.lock("other", "third", timeout_seconds=0) as held:
            assert held.abandoned_by is None
    assert waited_for == ["first"]


def test_a_lock_goes_from_one_to_the_next(storage: Storage) -> None:
    inside: list[str] = []
    most: list[int] = []

    def work(name: str) -> None:
        with storage.lock("t", name, timeout_seconds=30):
            inside.append(name)
            most.append(len(inside))
            inside.remove(name)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_work_stays_abandoned_through_owners_that_do_not_finish_it(storage: Storage) -> None:
    with pytest.raises(RuntimeError), storage.lock("t", "gave up", timeout_seconds=0) as held:
        held.announce(["p"])
        raise RuntimeError
    with storage.lock("t", "bystander", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("gave up", ["p"])
    with pytest.raises(RuntimeError), storage.lock("t", "second", timeout_seconds=0) as held:
        held.announce(["q"])
        raise RuntimeError
    with storage.lock("t", "next", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("second", ["p", "q"])
        held.finish()
    with storage.lock("t", "after", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == (None, [])

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provender.errors import StorageError
from provender.storage import FileStorage


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage((tmp_path / "root").as_uri())


def run_and_kill(storage: FileStorage, code: str) -> None:
    """Runs ``code`` (which sees ``storage`` and ``die``) in a process that has to end by SIGKILL."""
    preamble = (
        "import os, signal\n"
        "from provender.storage import file as module\n"
        f"storage = module.FileStorage({storage.root!r})\n"
        "def die(*_, **__):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", preamble + code], capture_output=True, timeout=30)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize(
    "step",
    ["module._to_disk = die", "os.link = die", "os.replace = die"],
    ids=["before its bytes are on disk", "before it is linked", "before it gets its name"],
)
def test_a_process_killed_while_writing_leaves_the_old_file_whole(storage: FileStorage, step: str) -> None:
    with storage.writing("a/file") as file:
        file.write(b"old")
    run_and_kill(storage, f"{step}\nwith storage.writing('a/file') as f: f.write(b'new' * 100000)")
    assert storage.read("a/file") == b"old"
    assert storage.names("a") == ["file"]
    with storage.writing("a/file") as file:
        file.write(b"newer")
    assert storage.read("a/file") == b"newer"


def test_a_process_killed_while_creating_leaves_nothing_or_all(storage: FileStorage) -> None:
    run_and_kill(storage, "os.link = die\nstorage.create('a/one', b'x')")
    assert storage.names("a") == []
    run_and_kill(storage, "module._folder_to_disk = die\nstorage.create('a/one', b'x')")
    assert storage.read("a/one") == b"x"


def test_a_killed_holder_gives_the_lock_away_with_its_work(storage: FileStorage) -> None:
    run_and_kill(
        storage, "with storage.lock('t', 'dead', timeout_seconds=0) as held: held.announce(['p']); die()"
    )
    with storage.lock("t", "next", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("dead", ["p"])
        held.finish()
    with storage.lock("t", "after", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == (None, [])


@pytest.mark.parametrize("step", ["module._wait_for_lock", "module._HolderNote.write", "os.replace"])
def test_abandoned_work_survives_a_second_death_in_the_middle_of_taking_the_lock(
    storage: FileStorage, step: str
) -> None:
    run_and_kill(
        storage, "with storage.lock('t', 'dead', timeout_seconds=0) as held: held.announce(['p']); die()"
    )
    run_and_kill(storage, f"{step} = die\nwith storage.lock('t', 'second', timeout_seconds=0): pass")
    with storage.lock("t", "next", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("dead", ["p"])


def test_work_stays_abandoned_through_owners_that_do_not_finish_it(storage: FileStorage) -> None:
    with pytest.raises(RuntimeError), storage.lock("t", "gave up", timeout_seconds=0) as held:
        held.announce(["p"])
        raise RuntimeError
    with storage.lock("t", "bystander", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("gave up", ["p"])
    run_and_kill(
        storage, "with storage.lock('t', 'dead', timeout_seconds=0) as held: held.announce(['q']); die()"
    )
    with storage.lock("t", "next", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("dead", ["p", "q"])


def test_a_full_disk_is_one_sentence(storage: FileStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("provender.storage.file._to_disk", full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        storage.create("a/one", b"x")
    assert "free space" in str(caught.value)

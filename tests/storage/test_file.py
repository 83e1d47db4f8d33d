from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provender.errors import AlreadyExistsError, DamagedFileError, LockHeldError, StorageError
from provender.storage import FileStorage, local_path
from provender.storage.disk import scratch_errors
from tests.small_disk import SmallDisk


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
    ["module.to_disk = die", "os.link = die", "os.replace = die"],
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
    run_and_kill(storage, "module.folder_to_disk = die\nstorage.create('a/one', b'x')")
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


@pytest.mark.parametrize("step", ["module._wait_for_lock", "module._NoteFile.write", "os.replace"])
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


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"[]", b"\x80\xff", b'{"owner": 1, "work": [], "left_by": null}', b'{"work": "p"}'],
    ids=["empty", "cut", "no fields", "a list", "binary", "wrong types", "half of the fields"],
)
def test_a_note_that_cannot_be_read_is_one_error_with_its_place_and_the_way_out(
    storage: FileStorage, content: bytes
) -> None:
    note = Path(local_path(storage.root)) / "locks/readings.tables.holder"
    with storage.lock("readings.tables", "before", timeout_seconds=0):
        pass
    note.write_bytes(content)
    with pytest.raises(DamagedFileError, match="nobody knows") as caught:
        with storage.lock("readings.tables", "next", timeout_seconds=0):
            raise AssertionError
    assert caught.value.where.endswith("locks/readings.tables.holder")
    assert "provender status readings" in caught.value.remedy
    note.unlink()
    with storage.lock("readings.tables", "next", timeout_seconds=0) as held:
        assert held.abandoned_work == []


def test_who_waits_is_told_of_a_holder_whose_note_cannot_be_read(storage: FileStorage) -> None:
    note = Path(local_path(storage.root)) / "locks/t.holder"
    with storage.lock("t", "first", timeout_seconds=0):
        note.write_bytes(b"{")
        with pytest.raises(LockHeldError, match="another process"):
            with storage.lock("t", "second", timeout_seconds=0):
                raise AssertionError


def test_a_lock_is_free_whatever_process_has_the_number_of_its_last_holder(storage: FileStorage) -> None:
    run_and_kill(
        storage, "with storage.lock('t', 'dead', timeout_seconds=0) as held: held.announce(['p']); die()"
    )
    note = Path(local_path(storage.root)) / "locks/t.holder"
    # The kernel gives numbers again: here to this very process.
    note.write_text(json.dumps({**json.loads(note.read_text()), "pid": os.getpid()}))
    (note.parent / "t").write_bytes(b"")
    with storage.lock("t", "next", timeout_seconds=0) as held:
        assert (held.abandoned_by, held.abandoned_work) == ("dead", ["p"])


def test_what_a_killed_writer_left_goes_with_the_next_write_and_what_a_living_one_writes_stays(
    storage: FileStorage,
) -> None:
    folder = Path(local_path(storage.root)) / "a"
    run_and_kill(storage, "with storage.writing('a/one') as f: f.write(b'half'); f.flush(); die()")
    run_and_kill(storage, "os.replace = die\nwith storage.writing('a/one') as f: f.write(b'whole')")
    assert len(list(folder.iterdir())) > 0
    with storage.writing("a/two") as slow:
        storage.create("a/three", b"3")
        slow.write(b"2")
    assert sorted(path.name for path in folder.iterdir()) == ["three", "two"]
    assert storage.read("a/two") == b"2"


class TestASmallDisk:
    """A real file system of two megabytes."""

    @pytest.fixture
    def disk(self, small_disk: SmallDisk) -> FileStorage:
        return FileStorage(small_disk.folder.as_uri())

    def test_what_does_not_fit_is_one_sentence_and_leaves_the_old_file_and_its_space(
        self, disk: FileStorage
    ) -> None:
        disk.create("a/old", b"old")
        for write in (self._create, self._write, self._write_through_arrow):
            with pytest.raises(StorageError, match="No space left on device") as caught:
                write(disk)
            assert caught.value.remedy.startswith("free space")
            assert disk.names("a") == ["old"]
            assert disk.read("a/old") == b"old"
            # What was half written has given its space back.
            disk.create("b/fits", bytes(1 << 20))
            disk.delete_tree("b")

    def test_a_lock_that_cannot_be_noted_is_not_held(self, disk: FileStorage, small_disk: SmallDisk) -> None:
        with disk.lock("t", "first", timeout_seconds=0) as held:
            held.announce(["p"])
        small_disk.fill()
        with pytest.raises(StorageError, match="No space left on device"):
            with disk.lock("t", "second", timeout_seconds=0):
                raise AssertionError
        small_disk.clear()
        with disk.lock("t", "third", timeout_seconds=0) as held:
            assert (held.abandoned_by, held.abandoned_work) == ("first", ["p"])

    @staticmethod
    def _create(disk: FileStorage) -> None:
        disk.create("a/large", bytes(4 << 20))

    @staticmethod
    def _write(disk: FileStorage) -> None:
        with disk.writing("a/old") as file:
            for _ in range(64):
                file.write(bytes(1 << 16))

    @staticmethod
    def _write_through_arrow(disk: FileStorage) -> None:
        with disk.writing("a/old") as file:
            pq.write_table(pa.table({"x": np.random.default_rng(0).random(1 << 19)}), file)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.EIO, "check the disk"),
        (errno.EROFS, "correct the permissions or the mount"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_whatever_the_disk_refuses_at_the_last_moment_is_one_sentence(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    storage.create("a/old", b"old")
    for step in ("to_disk", "folder_to_disk"):
        monkeypatch.setattr(f"provender.storage.file.{step}", refuse)
        with pytest.raises(StorageError) as caught:
            storage.create(f"a/{step}", b"x")
        assert os.strerror(code) in caught.value.what
        assert remedy in caught.value.remedy
        assert caught.value.where.endswith(f"a/{step}")
        monkeypatch.undo()
    assert storage.names("a") == ["folder_to_disk", "old"], (
        "it had its name when its folder could not be written"
    )


def test_a_limit_on_the_size_of_files_is_one_sentence(storage: FileStorage) -> None:
    code = (
        "import resource, signal\n"
        "from provender.storage import FileStorage\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        f"FileStorage({storage.root!r}).create('a/large', bytes(1 << 20))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "StorageError: cannot write: File too large" in ended.stderr
    assert "ulimit -f" in ended.stderr
    assert storage.names("a") == []


def test_an_error_of_the_block_is_not_taken_for_one_of_the_file_that_is_written(
    storage: FileStorage, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError), storage.writing("a/file"):
        (tmp_path / "none").read_bytes()
    with pytest.raises(OSError, match="elsewhere"), storage.writing("a/file"):
        raise OSError(errno.EIO, "elsewhere")


def test_what_a_library_says_in_the_words_of_the_operating_system_is_one_sentence() -> None:
    for code in (errno.ENOSPC, errno.EIO):
        with pytest.raises(StorageError, match=os.strerror(code)) as caught, scratch_errors():
            raise duckdb.IOException(f'IO Error: Could not write file "/tmp/x": {os.strerror(code)}')
        assert "/tmp/x" in caught.value.where
    with pytest.raises(duckdb.IOException, match="Cannot open"), scratch_errors():
        raise duckdb.IOException('IO Error: Cannot open file "x": No such file or directory')
    with pytest.raises(DamagedFileError), scratch_errors():
        raise DamagedFileError("Input/output error")


def test_creating_a_file_searches_no_folder(storage: FileStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(*_: object) -> None:
        raise AssertionError("a commit beside a million files would cost a million names")

    storage.create("ledger/1.json", b"1")
    monkeypatch.setattr(os, "scandir", searched)
    monkeypatch.setattr(os, "listdir", searched)
    storage.create("ledger/2.json", b"2")
    monkeypatch.undo()
    assert storage.names("ledger") == ["1.json", "2.json"]


def test_a_file_system_without_unnamed_files_gets_named_ones(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    storage.create("a/x", b"1")
    with pytest.raises(AlreadyExistsError):
        storage.create("a/x", b"2")
    assert (storage.names("a"), storage.read("a/x")) == (["x"], b"1")

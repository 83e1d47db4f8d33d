"""Snapshots are worth time and nothing else: with them, without them and with damaged ones the state is the same."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provender.intervals import Cadence, Partition
from provender.ledger import Draft, Job, Kind, Ledger, segments, snapshots
from provender.ledger.segments import PartitionState, step_of
from provender.ledger.state import SourceState
from provender.ledger.status import SourceStatus, source_status
from provender.storage import FileStorage
from tests.ledger.test_holes import source
from tests.manifests import ingested, staged, table_commit, view_write

T0 = datetime(2026, 11, 1, tzinfo=UTC)
FIRST = Partition.parse(Cadence.DAILY, "2026-11-01")
SNAPSHOTS = "ledger/s/snapshots"


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path.as_uri())


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots after few manifests, of segments with few partitions."""
    monkeypatch.setattr("provender.ledger.state.EVERY_MANIFESTS", 3)
    monkeypatch.setattr(segments, "MOST_PARTITIONS", 4)


def key(day: int) -> str:
    return (FIRST.start + timedelta(days=day)).strftime("%Y-%m-%d")


def draft(job: Job, number: int, days: list[int], variant: int) -> Draft:
    """A manifest of ``job``; ``variant`` tells its contents from others'."""
    at = T0 + timedelta(hours=number)
    more: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    if job is Job.STAGE:
        entries = {key(day): staged(f"c{variant}", delivery=1 + variant, delivered=at) for day in days}
    elif job is Job.INGEST:
        shown = {"quarantined": variant, "reasons": {"too_late": variant}, "delivery": 1 + variant}
        shown |= {"spec": f"spec {variant // 2}"}
        entries = {key(day): ingested(f"c{variant}", **shown) for day in days}
        more = {"wrote": [table_commit(f"t{variant}", bytes=number)], "counts": {"withdrawn": variant}}
    elif job is Job.ADMIT:
        entries = {key(day): {"reasons": [f"r{variant}"]} for day in days}
    elif job is Job.MATERIALIZE:
        more = {"wrote": [view_write(f"v{variant}", at)] if days else []}
    kind = Kind.MANIFEST if days else Kind.RECEIPT
    return Draft(job, f"a{number}", kind, entries, T0, at, **more)


def facts(state: SourceState) -> dict[str, Any]:
    """Everything that a state says."""
    found = {name: entry for part in state.parts() for name, entry in part.entries().items()}
    return {
        "entries": found,
        "summaries": [state.partition(name) for name in found],
        "totals": state.totals.model_dump(),
        "staged": dict(state.staged),
        "admitted": state.admitted,
        "redelivered": dict(state.redelivered()),
        "last": state.last_redelivery,
        "online": [*state.online_keys()],
        "positions": [state.position(job) for job in Job],
        "status": shown(status_of(state)),
    }


def status_of(state: SourceState) -> SourceStatus:
    return source_status(source(), "spec 0", state, T0 + timedelta(days=14), ["v0"], is_published=True)


def shown(status: SourceStatus) -> list[Any]:
    return [
        status.holes,
        status.stale,
        status.not_online,
        status.last_complete,
        status.not_published,
        dict(status.quarantined),
        status.quarantined.rows,
        len(status.quarantined),
    ]


def without_snapshots(storage: FileStorage) -> SourceState:
    """The fold of every manifest."""

    class Blind(FileStorage):
        def names(self, folder: str, after: str = "") -> list[str]:
            return [] if folder == SNAPSHOTS else super().names(folder, after)

    return Ledger(Blind(storage.root), "s").state()


HISTORIES = st.lists(
    st.tuples(st.sampled_from(list(Job)), st.lists(st.integers(0, 13), max_size=6), st.integers(0, 2)),
    min_size=1,
    max_size=20,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTORIES)
def test_the_fold_with_snapshots_is_the_fold_without(history: list[tuple[Job, list[int], int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        storage = FileStorage(Path(folder).as_uri())
        for number, (job, days, variant) in enumerate(history):
            Ledger(storage, "s").commit(draft(job, number, days, variant))
        assert bool(storage.names(SNAPSHOTS)) == (len(history) >= 3)
        assert facts(Ledger(storage, "s").state()) == facts(without_snapshots(storage))


def test_a_status_from_summaries_is_that_of_each_partition(storage: FileStorage) -> None:
    ledger = Ledger(storage, "s")
    for number, day in enumerate([*range(9), 11, 12]):
        ledger.commit(draft(Job.INGEST, number, [day], 0))
    status = status_of(Ledger(storage, "s").state())
    assert [p.key for p in status.holes] == [key(9), key(10)]
    assert [p.key for p in status.not_online] == [key(day) for day in (*range(9), 11, 12)]


def fill(storage: FileStorage, count: int) -> None:
    for number in range(count):
        Ledger(storage, "s").commit(draft(Job.STAGE, number, [number % 14], number % 2))


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format": 2}', None], ids=["empty", "cut", "newer", "gone"]
)
@pytest.mark.parametrize("part", ["head", "segments"])
def test_a_damaged_snapshot_costs_time_only(storage: FileStorage, part: str, content: bytes | None) -> None:
    fill(storage, 12)
    heads = [name for name in storage.names(SNAPSHOTS) if name.endswith(".json")]
    folder = SNAPSHOTS if part == "head" else f"{SNAPSHOTS}/segments"
    for name in heads[-1:] if part == "head" else storage.names(folder):
        storage.delete_tree(f"{folder}/{name}")
        if content is not None:
            storage.create(f"{folder}/{name}", content)
    expected = facts(without_snapshots(storage))
    assert facts(Ledger(storage, "s").state()) == expected
    fill(storage, 4)
    assert facts(Ledger(storage, "s").state()) == facts(without_snapshots(storage))


def test_a_snapshot_of_other_manifests_is_passed_over(storage: FileStorage) -> None:
    fill(storage, 6)
    storage.delete_tree("ledger/s/stage")
    assert dict(Ledger(storage, "s").state().staged) == {}
    assert Ledger(storage, "s").commit(draft(Job.STAGE, 0, [3], 1)).number == 1
    assert [*Ledger(storage, "s").state().staged] == [key(3)]


def test_a_manifest_that_somebody_moved_away_hides_none_after_it(storage: FileStorage) -> None:
    fill(storage, 8)
    storage.delete_tree("ledger/s/stage/00000007.json")
    assert Ledger(storage, "s").commit(draft(Job.STAGE, 9, [13], 0)).number == 9
    assert facts(Ledger(storage, "s").state()) == facts(without_snapshots(storage))


def test_committers_at_once_lose_nothing(storage: FileStorage) -> None:
    barrier = Barrier(6)

    def commit(worker: int) -> None:
        barrier.wait()
        ledger = Ledger(storage, "s")
        for round_ in range(5):
            ledger.commit(draft(Job.STAGE, worker * 10 + round_, [worker, 6 + round_], worker % 2))

    threads = [Thread(target=commit, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = Ledger(storage, "s").state()
    assert state.position(Job.STAGE) == 30
    assert facts(state) == facts(without_snapshots(storage))


class Dying(FileStorage):
    """A storage whose process is killed at the ``at``-th call."""

    at = 0
    calls = 0

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            os._exit(9)

    def names(self, folder: str, after: str = "") -> list[str]:
        self._count()
        return super().names(folder, after)

    def read(self, path: str) -> bytes:
        self._count()
        return super().read(path)

    def exists(self, path: str) -> bool:
        self._count()
        return super().exists(path)

    def create(self, path: str, data: bytes) -> None:
        self._count()
        super().create(path, data)
        self._count()

    def delete_tree(self, path: str) -> None:
        self._count()
        super().delete_tree(path)


def in_a_child(work: Callable[[], None]) -> int:
    """The exit code of ``work`` in a process of its own, which may die at any point."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_committer_killed_at_any_storage_call_leaves_a_ledger_that_goes_on(tmp_path: Path) -> None:
    at, codes = 0, set[int]()
    fill(FileStorage((tmp_path / "0").as_uri()), 26)  # so many that old snapshots are removed
    while 0 not in codes:
        at += 1
        shutil.copytree(tmp_path / "0", tmp_path / str(at))
        storage = FileStorage((tmp_path / str(at)).as_uri())
        dying = Dying(storage.root)
        dying.at = at
        codes.add(in_a_child(lambda dying=dying: Ledger(dying, "s").commit(draft(Job.STAGE, 26, [1], 1))))  # type: ignore[misc]
        committed = len(Ledger(storage, "s").manifests(Job.STAGE))
        assert committed in (26, 27)
        assert Ledger(storage, "s").commit(draft(Job.STAGE, 27, [2], 0)).number == committed + 1
        assert facts(Ledger(storage, "s").state()) == facts(without_snapshots(storage))
    assert codes == {0, 9}
    assert at > 10, "the committer was killed before, while and after it wrote a snapshot"


def test_old_snapshots_and_their_segments_are_removed(storage: FileStorage) -> None:
    fill(storage, 90)
    assert len([n for n in storage.names(SNAPSHOTS) if n.endswith(".json")]) == 8
    kept = [*snapshots.Snapshots(storage, "s").newest_first()]
    named = {segment.name for snapshot in kept for segment in snapshot.segments}
    assert {name.removesuffix(".json") for name in storage.names(f"{SNAPSHOTS}/segments")} == named


class Counting(FileStorage):
    """Counts the objects that are read and the names that are listed."""

    reads = 0
    listed = 0

    def read(self, path: str) -> bytes:
        self.reads += 1
        return super().read(path)

    def names(self, folder: str, after: str = "") -> list[str]:
        found = super().names(folder, after)
        self.listed += len(found)
        return found


def cost(storage: FileStorage, ask: Callable[[Ledger], object]) -> tuple[int, int]:
    counting = Counting(storage.root)
    ask(Ledger(counting, "s"))
    return counting.reads, counting.listed


def test_a_command_reads_the_same_however_many_manifests_there_are(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provender.ledger.state.EVERY_MANIFESTS", 20)
    monkeypatch.setattr(segments, "MOST_PARTITIONS", 1000)
    costs = []
    for _ in range(3):
        fill(storage, 100)
        status = cost(storage, lambda ledger: status_of(ledger.state()))
        found = cost(storage, lambda ledger: ledger.find_attempt(Job.STAGE, "nobody"))
        number = cost(storage, lambda ledger: ledger.next_number(Job.STAGE))
        costs.append((status, found, number))
    for reads, listed in costs[-1]:
        assert reads <= 50
        assert listed <= 20
    assert costs[1] == costs[2]


def test_an_attempt_is_found_in_a_snapshot_and_after_it(storage: FileStorage) -> None:
    fill(storage, 10)
    ledger = Ledger(storage, "s")
    for number in (0, 5, 9):
        found = ledger.find_attempt(Job.STAGE, f"a{number}")
        assert found is not None and found.number == number + 1
    assert ledger.find_attempt(Job.INGEST, "a0") is None


@pytest.mark.parametrize(
    ("keys", "step"),
    [
        (["2026-01-01", "2026-01-02"], "1d"),
        (["2026-01-05", "2026-01-12", "2026-01-19"], "7d"),
        (["2026-12", "2027-01"], "1m"),
        (["2026-01-01T23", "2026-01-02T00"], "1h"),
        (["2026-01-01", "2026-01-02", "2026-01-04"], ""),
        (["2026-01-01", "2026-01-01T01"], ""),
        (["2026-01-01"], ""),
        (["first", "second"], ""),
    ],
)
def test_the_step_between_keys_is_known_where_it_is_one(keys: list[str], step: str) -> None:
    assert step_of(keys) == step


def test_what_a_partition_has_not_is_not_written_down() -> None:
    assert PartitionState().to_document() == {}

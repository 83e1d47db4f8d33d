"""The ledger at a million manifests: what a command reads and takes, and what a commit costs.

A source of hourly partitions, each staged, ingested and materialized: a third of the manifests of each job.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from provender.ledger import Draft, Job, Kind, Ledger
from provender.ledger.manifest import to_manifest
from provender.ledger.records import IngestedPartition, Record, StagedFile, StagedPartition, ViewWrite
from provender.ledger.segments import MOST_PARTITIONS, PartitionState, RecordedPartition
from provender.ledger.snapshots import Position, Snapshots, Totals
from provender.specs.catalog import Catalog
from provender.specs.hashing import data_hash
from provender.storage import FileStorage

SOURCE = "meter"
_START = datetime(1980, 1, 1, tzinfo=UTC)
_SPEC = """\
name: meter
owner: bench
cadence: hourly
start: 1980-01-01
end: {end}
raw: {uri: "file:///nowhere/all.csv", time_column: at}
event_timestamp: {column: at}
columns:
  - {name: meter, type: STRING, required: true}
  - {name: value, type: DOUBLE}
  - {name: at, type: TIMESTAMP}
tables:
  - {name: meter, keys: [meter]}
"""


class Counted(FileStorage):
    """Counts the objects that are read, those looked for, and the names listed."""

    reads = exists_calls = listed = 0

    def read(self, path: str) -> bytes:
        self.reads += 1
        return super().read(path)

    def exists(self, path: str) -> bool:
        self.exists_calls += 1
        return super().exists(path)

    def names(self, folder: str, after: str = "") -> list[str]:
        found = super().names(folder, after)
        self.listed += len(found)
        return found


def draft(job: Job, hour: int, spec: str) -> Draft:
    """The manifest of one job of one hour."""
    moment = _START + timedelta(hours=hour)
    key, at, content = f"{moment:%Y-%m-%dT%H}", moment + timedelta(hours=1), f"{hour:032x}"
    entries: dict[str, Record] = {}
    wrote: list[Record] = []
    if job is Job.STAGE:
        file = StagedFile(name=f"{key}.parquet", format="parquet", bytes=1000, sha256=f"{hour:064x}")
        folder = f"staging/{SOURCE}/{key}/{content}"
        entries[key] = StagedPartition(
            content=content, folder=folder, files=(file,), delivery=1, delivered=at, arrived=at
        )
    elif job is Job.INGEST:
        entries[key] = IngestedPartition(
            content=content,
            delivery=1,
            delivered=at,
            waived=(),
            spec=spec,
            staged=10,
            accepted=10,
            quarantined=0,
            reasons={},
            features={"meter": {"new": 10, "corrected": 0, "withdrawn": 0, "unchanged": 0}},
        )
    else:
        wrote.append(_view(at))
    return Draft(job, f"{job}-{hour}", Kind.MANIFEST, entries, at, at, wrote=wrote)


def _view(at: datetime) -> ViewWrite:
    return ViewWrite(
        view="meter",
        table="tables/meter/meter",
        table_id="id",
        layout="layout",
        recorded_up_to=at,
        rebuilt=None,
        written=10,
        skipped=0,
        deleted=0,
    )


def fill(storage: FileStorage, folder: Path, hours: int, spec: str) -> None:
    """Everything after ``hours`` hours: the last manifest of each job and the snapshot that stands for all of them.

    The manifests before are there as empty files: nothing may read them, and a folder of that many names is listed by
    nobody.
    """
    positions = {}
    for job in (Job.STAGE, Job.INGEST, Job.MATERIALIZE):
        for number in range(1, hours):
            path = folder / "ledger" / SOURCE / str(job) / f"{number:08d}.json"
            if number == 1:
                path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        given = draft(job, hours - 1, spec)
        manifest = to_manifest(given, SOURCE, hours, given.started, "provender bench")
        data = json.dumps(manifest.to_document(), indent=1).encode()
        storage.create(f"ledger/{SOURCE}/{job}/{hours:08d}.json", data)
        sha256 = hashlib.sha256(data).hexdigest()
        positions[job] = Position(number=hours, sha256=sha256, attempts={f"{n:016x}": n for n in range(500)})
    pieces = [
        dict(_partition(hour, spec) for hour in range(start, min(start + MOST_PARTITIONS, hours)))
        for start in range(0, hours, MOST_PARTITIONS)
    ]
    at = _START + timedelta(hours=hours)
    totals = Totals(recorded_up_to=at, online_up_to=at, views={"meter": _view(at)})
    Snapshots(storage, SOURCE).write(None, positions, totals, pieces)


def _partition(hour: int, spec: str) -> tuple[str, PartitionState]:
    ((key, staged),) = draft(Job.STAGE, hour, spec).partitions.items()
    ((_, done),) = draft(Job.INGEST, hour, spec).partitions.items()
    assert isinstance(staged, StagedPartition)
    assert isinstance(done, IngestedPartition)
    return key, PartitionState(
        staged=staged, ingested=RecordedPartition(**done.__dict__, recorded=done.delivered)
    )


def measure(manifests: list[int]) -> Iterator[str]:
    """A line for each number of manifests."""
    for count in manifests:
        with tempfile.TemporaryDirectory(prefix="provender-bench-") as base:
            root, repo, hours = Path(base) / "storage", Path(base) / "repo", count // 3
            _write_repo(repo, root, hours)
            catalog = Catalog.load(repo)
            spec = data_hash(catalog.source(SOURCE), catalog.sql_texts(SOURCE))
            fill(FileStorage(root.as_uri()), root, hours, spec)
            yield f"{count} manifests: {_status(repo, root)}; {_commit(root, hours, spec)}"


def _status(repo: Path, root: Path) -> str:
    counted = Counted(root.as_uri())
    Ledger(counted, SOURCE).state()
    bare = _seconds([sys.executable, "-c", "import provender.cli.status"])
    whole = _seconds([sys.executable, "-m", "provender", "--repo", str(repo), "status"])
    return (
        f"state reads {counted.reads} objects, looks for {counted.exists_calls}, lists {counted.listed} names; "
        f"status takes {whole - bare:.2f} s beyond {bare:.2f} s of imports"
    )


def _commit(root: Path, hour: int, spec: str) -> str:
    """40 hours' commits, each by a ledger of its own, as attempts are."""
    reads, started = 0, time.perf_counter()
    for at in range(hour, hour + 40):
        for job in (Job.STAGE, Job.INGEST, Job.MATERIALIZE):
            counted = Counted(root.as_uri())
            ledger = Ledger(counted, SOURCE)
            ledger.state().partition(f"{_START + timedelta(hours=at):%Y-%m-%dT%H}")
            ledger.commit(draft(job, at, spec))
            reads = max(reads, counted.reads)
    each = (time.perf_counter() - started) / 120
    return f"a commit takes {each * 1000:.0f} ms and reads at most {reads} objects"


def _seconds(command: list[str]) -> float:
    """The best of five."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return min(times)


def _write_repo(repo: Path, root: Path, hours: int) -> None:
    """The source ends with what is ingested: a status without holes, which is what it is most of the time."""
    (repo / "sources").mkdir(parents=True, exist_ok=True)
    end = _START + timedelta(hours=hours)
    (repo / "sources" / "meter.yaml").write_text(_SPEC.replace("{end}", f"{end:%Y-%m-%dT%H:%M:%SZ}"))
    (repo / "feature_store.yaml").write_text(
        f"project: bench\nprovider: local\nregistry: {repo}/registry.db\n"
        "online_store: {type: redis, connection_string: 'localhost:1'}\n"
        f"provender: {{storage_root: '{root.as_uri()}'}}\n"
    )


if __name__ == "__main__":
    for line in measure([int(text) for text in sys.argv[1:]] or [1_000, 1_000_000]):
        print(line, flush=True)

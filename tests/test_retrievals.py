"""What upkeep removes of retrievals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from provender.storage import storage_at
from provender.storage.retrievals import KEPT, new_retrieval, remove_old_retrievals


def test_retrievals_go_when_they_are_old_and_nothing_else_does(tmp_path: Path) -> None:
    storage = storage_at(tmp_path.as_uri())
    path, now = new_retrieval(), datetime.now(UTC)
    for name in (f"{path}/answer/part-0.parquet", "retrievals/somebodys-own/notes.txt"):
        with storage.writing(name) as file:
            file.write(b"rows")
    assert remove_old_retrievals(storage, now + KEPT - timedelta(seconds=2)) == []
    assert storage.exists(path)
    assert remove_old_retrievals(storage, now + KEPT + timedelta(seconds=2)) == [path.split("/")[1]]
    assert storage.names("retrievals") == ["somebodys-own"]

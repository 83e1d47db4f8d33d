"""Every JSON file of the platform's own, damaged: one error with its place and the way out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provender.errors import DamagedFileError
from provender.failures import read_failure
from provender.feast.merge import load_states
from provender.feast.sync_state import is_behind, note_recorded
from provender.ledger import Draft, Job, Kind, Ledger
from provender.model_registry.deployments import DeploymentLog
from provender.online.views import load_applied_views
from provender.storage import FileStorage
from tests.manifests import ingested, view_write

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READERS: dict[str, Callable[[FileStorage], Any]] = {
    "applied/p.json": lambda storage: load_applied_views(storage, "p"),
    "applied/p.states.json": lambda storage: load_states(storage, "p"),
    "models/m/deployments/00000001.json": lambda storage: DeploymentLog(storage, "m").all(),
    "failures/r.json": lambda storage: read_failure(storage.root, "r"),
    "ledger/s/stage/00000001.json": lambda storage: Ledger(storage, "s").manifests(Job.STAGE),
}


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path.as_uri())


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\x80\x00", b"7"], ids=["empty", "cut", "binary", "a number"]
)
@pytest.mark.parametrize("path", READERS)
def test_a_damaged_file_is_named_with_the_way_out(storage: FileStorage, path: str, content: bytes) -> None:
    storage.create(path, content)
    with pytest.raises(DamagedFileError) as caught:
        READERS[path](storage)
    assert caught.value.where == storage.uri(path)
    assert caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"views": null}'])
def test_what_only_spares_work_is_written_anew(storage: FileStorage, content: bytes) -> None:
    ledger = Ledger(storage, "s")
    entries = {"2026-01-01": ingested()}
    ledger.commit(Draft(Job.INGEST, "i", Kind.MANIFEST, entries, started=NOW, recorded_up_to=NOW))
    wrote = [view_write("v", NOW)]
    ledger.commit(Draft(Job.MATERIALIZE, "m", Kind.MANIFEST, {}, NOW, recorded_up_to=NOW, wrote=wrote))
    assert is_behind(storage, ledger.state())
    note_recorded(storage, "s", {"v": NOW})
    assert not is_behind(storage, ledger.state())
    with storage.writing("feast/s.json") as file:
        file.write(content)
    assert is_behind(storage, ledger.state())

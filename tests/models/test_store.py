"""What serves is a fold of documents that nobody overwrites."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from provender.errors import ArtifactError, DamagedFileError
from provender.model_registry.deployments import Action, Deployment, DeploymentLog, before, fold
from provender.model_registry.store import ModelStore
from provender.storage import FileStorage
from tests.models.artifacts import CREATED, write_artifact


def did(action: Action, version: str, previous: str | None = None, **more: object) -> Deployment:
    return Deployment("late", action, version, "attempt-1", previous=previous, **more)  # type: ignore[arg-type]


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path.as_uri())


@pytest.fixture
def store(storage: FileStorage) -> ModelStore:
    return ModelStore(storage, "late")


def test_nothing_serves_at_first(store: ModelStore) -> None:
    assert store.state().version is None
    assert store.serving_artifact() is None
    assert store.previous() is None
    assert store.versions() == []


def test_a_canary_is_not_what_serves() -> None:
    state = fold([did(Action.DEPLOY, "a"), did(Action.CANARY, "b", "a", percent=10)])
    assert state.version == "a"
    assert state.trying is not None and state.trying.version == "b"


def test_a_canary_ends_by_passing_or_by_being_rolled_back() -> None:
    log = [did(Action.DEPLOY, "a"), did(Action.CANARY, "b", "a")]
    passed = fold([*log, did(Action.DEPLOY, "b", "a")])
    assert (passed.version, passed.trying) == ("b", None)
    failed = fold([*log, did(Action.ROLLED_BACK, "b", "a")])
    assert (failed.version, failed.trying) == ("a", None)


def test_a_rejection_changes_nothing() -> None:
    assert fold([did(Action.DEPLOY, "a"), did(Action.REJECT, "b", "a")]).version == "a"


def test_one_rollback_after_the_other_goes_back_in_time() -> None:
    log = [did(Action.DEPLOY, "a"), did(Action.DEPLOY, "b", "a"), did(Action.DEPLOY, "c", "b")]
    assert before(log, "c") == "b"
    log.append(did(Action.ROLLBACK, "b", "c"))
    assert fold(log).version == "b"
    assert before(log, "b") == "a"
    assert before(log, "a") is None


def test_a_document_comes_back_as_it_was_written(storage: FileStorage) -> None:
    log = DeploymentLog(storage, "late")
    written = log.append(
        did(
            Action.CANARY, "b", "a", key="2026-03-09", percent=10, metrics={"roc_auc": 0.7}, smoke={"at": "x"}
        )
    )
    assert log.all() == [written]
    assert written.number == 1 and written.at is not None


def test_writers_at_once_get_numbers_of_their_own(storage: FileStorage) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: DeploymentLog(storage, "late").append(did(Action.REJECT, str(i))), range(24)))
    found = DeploymentLog(storage, "late").all()
    assert [each.number for each in found] == list(range(1, 25))
    assert {each.version for each in found} == {str(i) for i in range(24)}


def test_a_broken_document_is_named(storage: FileStorage) -> None:
    storage.create("models/late/deployments/00000001.json", b"{")
    with pytest.raises(DamagedFileError) as raised:
        DeploymentLog(storage, "late").all()
    assert "00000001.json" in str(raised.value)


def test_versions_say_what_became_of_them(storage: FileStorage, store: ModelStore) -> None:
    names = [write_artifact(storage, model=bytes([i]), created=CREATED + timedelta(days=i)) for i in range(5)]
    old, bad, serving, tried, new = names
    for each in (
        did(Action.DEPLOY, old, key="2026-03-01"),
        did(Action.REJECT, bad, old, key="2026-03-02", reason="too low"),
        did(Action.DEPLOY, serving, old, key="2026-03-03"),
        did(Action.CANARY, tried, serving, key="2026-03-04", percent=10),
    ):
        store.log.append(each)
    found = {each.artifact.version: each for each in store.versions()}
    assert list(found) == names[::-1]
    assert [found[name].state for name in names] == [
        "deployed",
        "rejected",
        "serving",
        "trying 10%",
        "trained",
    ]
    assert found[bad].reason == "too low"
    assert found[new].since is None and found[serving].since is not None
    assert found[tried].key == "2026-03-04"
    assert store.serving_artifact() is not None and store.state().version == serving


def test_a_version_that_a_person_rolled_back_says_so(storage: FileStorage, store: ModelStore) -> None:
    old, new = (write_artifact(storage, model=bytes([i])) for i in range(2))
    store.log.append(did(Action.DEPLOY, old))
    store.log.append(did(Action.DEPLOY, new, old))
    store.log.append(did(Action.ROLLBACK, old, new))
    found = {each.artifact.version: each for each in store.versions()}
    assert (found[old].state, found[new].state) == ("serving", "rolled back")
    assert found[new].reason == f"back to {old} by hand"


def test_a_version_that_training_did_not_finish_is_none(storage: FileStorage, store: ModelStore) -> None:
    storage.create("models/late/versions/0000/model.skops", b"half")
    assert store.versions() == []
    with pytest.raises(ArtifactError, match="no version '0000'"):
        store.artifact("0000")


def test_a_key_is_decided_by_a_deployment_a_rejection_or_a_rollback(store: ModelStore) -> None:
    store.log.append(did(Action.DEPLOY, "a", key="2026-03-01"))
    store.log.append(did(Action.CANARY, "b", "a", key="2026-03-02"))
    assert store.decided_keys() == {"2026-03-01": "deployed"}
    store.log.append(did(Action.ROLLED_BACK, "b", "a", key="2026-03-02"))
    store.log.append(did(Action.REJECT, "c", "a", key="2026-03-03"))
    store.log.append(did(Action.ROLLBACK, "z", "a"))
    assert store.decided_keys() == {
        "2026-03-01": "deployed", "2026-03-02": "rolled back", "2026-03-03": "rejected",
    }  # fmt: skip

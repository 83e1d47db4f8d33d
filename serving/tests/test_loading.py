"""How models come, go and replace one another; and what happens when something is away."""

from __future__ import annotations

import io
import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import skops.io
from artifacts import SIGNATURE, write_artifact
from servers import NOW, PredictorProcess, RedisServer, pointer, wait_until
from sklearn.preprocessing import FunctionTransformer

from provender.model_registry.artifact import FeatureInput

FLIGHT = {"carrier": "UA", "origin": "JFK", "hour": 17, "event_timestamp": NOW.isoformat()}


@pytest.fixture
def second(tmp_path: Path) -> str:
    """Another good version."""
    return write_artifact(tmp_path / "second", seed=1)


@pytest.fixture(autouse=True)
def _the_first_version_serves(
    request: pytest.FixtureRequest, predictor: PredictorProcess, artifact: str, redis: RedisServer
) -> Iterator[None]:
    yield
    predictor.point("late", artifact, redis.address)
    assert predictor.load()[0] == 200


def version_of(artifact: str) -> str:
    return artifact.rsplit("/", 1)[1]


def test_a_load_replaces_the_version_in_place(
    predictor: PredictorProcess, artifact: str, second: str, redis: RedisServer
) -> None:
    assert predictor.predict(FLIGHT)[1]["model_version"] == version_of(artifact)
    predictor.point("late", second, redis.address)
    assert predictor.load() == (200, {"name": "late", "load": True})
    assert predictor.predict(FLIGHT)[1]["model_version"] == version_of(second)
    (model,) = [m for m in predictor.get("/provender/models")[1]["models"] if m["name"] == "late"]
    assert (model["version"], model["failure"]) == (version_of(second), None)
    found = [name for name in predictor.metrics() if name.startswith('provender_model_info{model="late"')]
    assert found == [f'provender_model_info{{model="late",version="{version_of(second)}"}}']


def test_no_request_fails_while_versions_change_under_load(
    predictor: PredictorProcess, artifact: str, second: str, redis: RedisServer
) -> None:
    ended = threading.Event()
    seen: list[tuple[int, str]] = []

    def ask() -> None:
        while not ended.is_set():
            code, answer = predictor.predict(FLIGHT)
            seen.append((code, str(answer.get("model_version") if isinstance(answer, dict) else answer)))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    for uri in (second, artifact, second):
        predictor.point("late", uri, redis.address)
        assert predictor.load()[0] == 200
    ended.set()
    for client in clients:
        client.join()
    assert {code for code, _ in seen} == {200}
    assert {version for _, version in seen} == {version_of(artifact), version_of(second)}


def both(status: str) -> list[tuple[str, str]]:
    return [("carrier_day__mean_delay", status), ("carrier_day__flights", status)]


def truncated(folder: Path) -> str:
    uri = write_artifact(folder, seed=2)
    path = Path(uri.removeprefix("file://")) / "model.skops"
    path.write_bytes(path.read_bytes()[:-1])
    return uri


def foreign(folder: Path) -> str:
    hook = skops.io.dumps(FunctionTransformer(json.dumps))
    return write_artifact(folder, model_file=hook)


def another_answer(folder: Path) -> str:
    return write_artifact(folder, seed=3, shift=1e-6)


def not_fitted(folder: Path) -> str:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return write_artifact(folder, model_file=skops.io.dumps(HistGradientBoostingClassifier()))


def another_feature(folder: Path) -> str:
    added = FeatureInput("weather__rain", "weather", "rain", "DOUBLE", ("origin",), 0)
    return write_artifact(folder, signature=replace(SIGNATURE, features=(*SIGNATURE.features, added)))


def without_golden_rows(folder: Path) -> str:
    return write_artifact(folder, examples=[])


def deep_signature(folder: Path) -> str:
    return write_artifact(folder, signature_file=b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


def large_signature(folder: Path) -> str:
    return write_artifact(folder, signature_file=b" " * ((32 << 20) + 1))


def zipped(schema: bytes, **others: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in {"schema.json": schema, **others}.items():
            file.writestr(name, data)
    return packed.getvalue()


def deep_model(folder: Path) -> str:
    return write_artifact(folder, model_file=zipped(b"[" * 5_000 + b"]" * 5_000))


def swollen_model(folder: Path) -> str:
    return write_artifact(folder, model_file=zipped(b" " * ((64 << 20) + 1)))


def no_model(folder: Path) -> str:
    return write_artifact(folder, model_file=b"<html>not found</html>")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (truncated, "model.skops is not the file that was written"),
        (foreign, "types that are not trusted: json.dumps; nothing was loaded"),
        (another_answer, "does not answer as it did when it was trained: golden row 0"),
        (not_fitted, "fails on its golden rows"),
        (another_feature, "weather__rain .DOUBLE., which the model needs, is not in the online views"),
        (without_golden_rows, "has no golden rows"),
        (deep_signature, "signature.json: nested 100000 deep, at most 32"),
        (large_signature, "signature.json is larger than"),
        (deep_model, "model.skops cannot be loaded: nested 5000 deep"),
        (swollen_model, "model.skops inflates to 67108865 bytes; nothing was loaded"),
        (no_model, "model.skops cannot be loaded: File is not a zip file"),
        (lambda folder: folder.as_uri(), "there is no artifact.json"),
    ],
)
def test_a_load_that_fails_says_why_and_the_old_version_serves(
    predictor: PredictorProcess, artifact: str, redis: RedisServer, tmp_path: Path, make: Any, reason: str
) -> None:
    import re

    predictor.point("late", make(tmp_path / "bad"), redis.address)
    code, answer = predictor.load()
    assert code == 503
    assert re.search(reason, answer["error"]), answer
    assert predictor.predict(FLIGHT)[1]["model_version"] == version_of(artifact)
    assert predictor.get("/v2/models/late/ready")[0] == 200
    (model,) = [m for m in predictor.get("/provender/models")[1]["models"] if m["name"] == "late"]
    assert re.search(reason, model["failure"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"policy": {"missing": "nul"}}, "policy missing: 'nul' is not one of"),
        ({"policy": {"defaults": {"weather__rain": 1}}}, "weather__rain.*for no feature"),
        ({"policy": {"defaults": {"weather__wind": "x"}}}, "expected a number, not 'x'"),
        ({"artefact": "x"}, "artefact: Extra inputs"),
        ({"online": {"project": "shop"}}, "no connection string"),
    ],
)
def test_a_pointer_that_is_wrong_is_refused(
    predictor: PredictorProcess, artifact: str, redis: RedisServer, change: dict[str, Any], reason: str
) -> None:
    import re

    text = json.dumps(pointer(artifact, redis.address) | change)
    (predictor.models / "late.json").write_text(text)
    code, answer = predictor.load()
    assert code == 503
    assert re.search(reason, answer["error"]), answer


def test_a_name_without_a_pointer_and_a_path_for_a_name_are_refused(predictor: PredictorProcess) -> None:
    assert "no pointer for a model called 'nope'" in predictor.load("nope")[1]["error"]
    assert predictor.load("..%2Flate")[0] in (404, 503)
    assert "nope" not in str(predictor.get("/provender/models")[1])


def test_an_unloaded_model_is_gone_and_the_others_serve(
    predictor: PredictorProcess, second: str, redis: RedisServer
) -> None:
    predictor.point("late-candidate", second, redis.address)
    assert predictor.load("late-candidate")[0] == 200
    assert predictor.predict(FLIGHT, name="late-candidate")[1]["model_version"] == version_of(second)
    assert predictor.post("/v2/repository/models/late-candidate/unload")[0] == 200
    assert predictor.predict(FLIGHT, name="late-candidate")[0] == 404
    assert predictor.predict(FLIGHT)[0] == 200
    assert predictor.post("/v2/repository/models/late-candidate/unload")[0] == 404


@pytest.mark.parametrize(
    ("policy", "carrier", "code", "names"),
    [
        ({"missing": "refuse"}, "AA", 422, [("carrier_day__mean_delay", "missing")]),
        ({"stale": "refuse"}, "OLD", 422, both("stale")),
        ({"unknown_entity": "refuse"}, "??", 422, both("unknown_entity")),
        ({"missing": "refuse", "stale": "refuse"}, "??", 200, []),
        ({"unknown_entity": "refuse"}, "AA", 200, []),
    ],
)  # fmt: skip
def test_the_policy_refuse_is_422_with_the_names(
    predictor: PredictorProcess,
    artifact: str,
    redis: RedisServer,
    policy: dict[str, Any],
    carrier: str,
    code: int,
    names: list[tuple[str, str]],
) -> None:
    predictor.point("late", artifact, redis.address, **policy)
    assert predictor.load()[0] == 200
    found, answer = predictor.predict(FLIGHT, FLIGHT | {"carrier": carrier})
    assert found == code
    refused = answer.get("refused", [])
    assert [(one["feature"], one["status"]) for one in refused] == names
    assert all(one["instance"] == 1 and one["entity"] == {"carrier": carrier} for one in refused)


def test_the_policy_default_fills_in_what_is_not_there(
    predictor: PredictorProcess, artifact: str, redis: RedisServer
) -> None:
    policies = dict.fromkeys(("missing", "stale", "unknown_entity"), "default")
    predictor.point("late", artifact, redis.address, **policies, defaults={"carrier_day__mean_delay": 7})
    assert predictor.load()[0] == 200
    carriers = ("UA", "AA", "OLD", "??")
    _, answer = predictor.predict(*[FLIGHT | {"carrier": c} for c in carriers], return_features=True)
    found = [(row["carrier_day__mean_delay"], row["carrier_day__flights"]) for row in answer["features"]]
    assert [delay["value"] for delay, _ in found] == [12.5, 7.0, 7.0, 7.0]
    assert [flights["value"] for _, flights in found] == [30, 10, None, None]
    assert [delay["status"] for delay, _ in found] == ["present", "missing", "stale", "unknown_entity"]


def test_redis_away_is_one_clear_503_and_back_again_all_is_well(tmp_path: Path, artifact: str) -> None:
    server, process = RedisServer(tmp_path), PredictorProcess(tmp_path)
    process.point("late", artifact, f"{server.address},socket_timeout=1")
    try:
        process.start()  # before Redis
        assert process.get("/v2/models/late/ready")[0] in (404, 503)
        assert process.predict(FLIGHT)[0] in (404, 503)
        code, answer = process.load()
        assert (code, server.address in answer["error"]) == (503, True)
        server.start()
        assert process.process is not None
        wait_until(lambda: process.get("/v2/models/late/ready")[0] == 200, process.process, 20)
        assert process.predict(FLIGHT)[0] == 200
        server.stop()
        code, answer = process.predict(FLIGHT)
        assert code == 503
        assert f"the online store at {server.address}" in answer["error"]
        given = {"carrier_day__mean_delay": 1, "carrier_day__flights": 1, "weather__wind": 1}
        assert process.predict(FLIGHT | given)[0] == 200  # nothing has to be looked up
        assert process.get("/v2/models/late/ready")[0] == 200  # it is the store that is ill
        server.start()
        assert process.predict(FLIGHT)[0] == 200
    finally:
        server.stop()
        process.stop()


def test_one_pointer_may_come_from_the_environment(tmp_path: Path, artifact: str, redis: RedisServer) -> None:
    document = pointer(artifact, "")
    document["online"].pop("connection_string")
    process = PredictorProcess(tmp_path)
    environment = {
        "PROVENDER_MODEL": "late",
        "PROVENDER_POINTER": json.dumps(document),
        "PROVENDER_ONLINE_CONNECTION_STRING": redis.address,
    }
    try:
        process.start("--grace-seconds", "5", environment=environment)
        assert process.process is not None
        wait_until(lambda: process.get("/v2/models/late/ready")[0] == 200, process.process)
        assert process.predict(FLIGHT)[0] == 200
    finally:
        assert process.stop() == 0


def test_a_request_under_way_is_answered_after_sigterm(
    tmp_path: Path, artifact: str, redis: RedisServer
) -> None:
    process = PredictorProcess(tmp_path)
    process.point("late", artifact, redis.address)
    try:
        process.start()
        server = process.process
        assert server is not None
        wait_until(lambda: process.get("/v2/models/late/ready")[0] == 200, server)
        body = json.dumps({"instances": [FLIGHT]}).encode()
        head = (
            f"POST /v1/models/late:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", process.port), timeout=20) as connection:
            connection.sendall(head.encode() + body[:20])
            assert process.get("/v2/health/live")[0] == 200  # so the head has been read
            server.terminate()
            wait_until(lambda: process.get("/v2/health/live")[0] == 0, server)  # takes no new ones
            connection.sendall(body[20:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert server.wait(20) == 0
    finally:
        process.stop()

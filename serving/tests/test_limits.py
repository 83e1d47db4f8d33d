"""No client holds up the others: sizes, counts, deadlines, and who may ask at all."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import PredictorProcess, RedisServer, wait_until

FLIGHT = {"carrier": "UA", "origin": "JFK", "hour": 5}
LIMITS = {
    "--max-body-bytes": 100_000,
    "--max-head-bytes": 4_096,
    "--max-instances": 50,
    "--head-timeout-seconds": 1,
    "--body-timeout-seconds": 1,
    "--idle-timeout-seconds": 3,
    "--max-connections": 20,
}
PREDICT = b"POST /v1/models/late:predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def strict(
    tmp_path_factory: pytest.TempPathFactory, artifact: str, redis: RedisServer
) -> Iterator[PredictorProcess]:
    """A predictor with limits that a test reaches in a second."""
    process = PredictorProcess(tmp_path_factory.mktemp("strict"))
    process.point("late", artifact, redis.address)
    options = [text for name, value in LIMITS.items() for text in (name, str(value))]
    process.start("--models-dir", str(process.models), *options)
    assert process.process is not None
    wait_until(lambda: process.get("/v2/models/late/ready")[0] == 200, process.process)
    yield process
    process.stop()


def connect(process: PredictorProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", process.port), timeout=20)


def read_to_the_end(connection: socket.socket) -> bytes:
    """What comes until the server closes; a reset is an end too."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def resident_bytes(process: subprocess.Popen[bytes]) -> int:
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def test_a_body_over_the_limit_is_413_before_it_is_sent(strict: PredictorProcess) -> None:
    with connect(strict) as connection:
        connection.sendall(PREDICT + b"Content-Length: 100001\r\n\r\n")
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", [b"/v1/models/late:predict", b"/v2/models/late/infer"])
def test_a_chunked_body_without_end_is_413_and_takes_no_memory(strict: PredictorProcess, path: bytes) -> None:
    assert strict.process is not None
    before = resident_bytes(strict.process)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with connect(strict) as connection:
        connection.sendall(
            b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        try:
            for _ in range(1600):  # 100 MB
                connection.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail("the server took all of it")
    assert resident_bytes(strict.process) - before < 20_000_000
    assert strict.predict(FLIGHT)[0] == 200


def test_a_head_without_end_is_431(strict: PredictorProcess) -> None:
    with connect(strict) as connection:
        connection.sendall(PREDICT + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 100) for n in range(100)))
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 431")


def test_more_instances_than_allowed_are_413_with_the_number(strict: PredictorProcess) -> None:
    code, answer = strict.predict(*[FLIGHT] * 51)
    assert code == 413
    assert "51 instances in one request; at most 50" in answer["error"]
    tensors = [
        {"name": name, "datatype": kind, "shape": [51], "data": [value] * 51}
        for name, kind, value in [
            ("carrier", "BYTES", "UA"),
            ("origin", "BYTES", "JFK"),
            ("hour", "INT32", 5),
        ]
    ]
    code, answer = strict.post("/v2/models/late/infer", {"inputs": tensors})
    assert code == 413
    assert strict.predict(*[FLIGHT] * 50)[0] == 200


def test_of_many_problems_a_hundred_are_listed_and_all_are_counted(predictor: PredictorProcess) -> None:
    code, answer = predictor.predict(*[{}] * 1000)
    assert code == 400
    assert (len(answer["problems"]), answer["count"]) == (100, 3000)
    assert "and 2990 more" in answer["error"]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", b"no request came within 1 s"),
        (b"POST /v1/mod", b"the headers did not come to their end within 1 s"),
        (PREDICT + b"X: y\r\n", b"the headers did not come to their end within 1 s"),
        (PREDICT + b"Content-Length: 9\r\n\r\n{", b"the body did not come to its end within 1 s"),
        (
            PREDICT + b"Transfer-Encoding: chunked\r\n\r\n1\r\n",
            b"the body did not come to its end within 1 s",
        ),
    ],
    ids=["nothing", "half a line", "half the headers", "half a body", "half a chunk"],
)
def test_a_request_that_does_not_go_on_is_408(strict: PredictorProcess, sent: bytes, reason: bytes) -> None:
    started = time.monotonic()
    with connect(strict) as connection:
        connection.sendall(sent)
        answer = read_to_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert reason in answer
    assert time.monotonic() - started < 10


def test_a_trickle_of_headers_is_408_all_the_same(strict: PredictorProcess) -> None:
    with connect(strict) as connection:
        connection.sendall(PREDICT)
        answers: list[bytes] = []
        reading = threading.Thread(target=lambda: answers.append(read_to_the_end(connection)))
        reading.start()
        while reading.is_alive():
            try:
                connection.sendall(b"X: y\r\n")
            except (BrokenPipeError, ConnectionResetError):
                break
            reading.join(0.1)
        reading.join(20)
    assert answers[0].startswith(b"HTTP/1.1 408")


def test_idle_connections_end_and_do_not_keep_others_out(strict: PredictorProcess) -> None:
    idle = [connect(strict) for _ in range(60)]
    try:
        for _ in range(3):
            assert strict.predict(FLIGHT)[0] == 200
        used = http.client.HTTPConnection("127.0.0.1", strict.port, timeout=20)
        used.connect()
        kept = used.sock
        for _ in range(5):
            used.request("POST", "/v1/models/late:predict", json.dumps({"instances": [FLIGHT]}))
            assert used.getresponse().read().startswith(b'{"predictions"')
            assert used.sock is kept
        assert read_to_the_end(kept) == b""  # idle for long enough
        used.close()
        for connection in idle:
            read_to_the_end(connection)
    finally:
        for connection in idle:
            connection.close()


def ask(process: PredictorProcess, path: str, method: str = "POST", **headers: str) -> bytes:
    lines = {
        "Host": "127.0.0.1",
        "Content-Length": "0",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with connect(process) as connection:
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n")
        return read_to_the_end(connection)


@pytest.mark.parametrize("verb", ["load", "unload"])
@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", "Basic token-of-the-tests", "Bearer\xff"])
def test_loading_and_unloading_need_the_token(predictor: PredictorProcess, verb: str, given: str) -> None:
    headers: dict[str, Any] = {"Authorization": given} if given else {}
    assert ask(predictor, f"/v2/repository/models/late/{verb}", **headers).startswith(b"HTTP/1.1 401")
    assert predictor.predict(FLIGHT)[0] == 200


def test_a_server_without_a_token_lets_nobody_load(tmp_path: Path, artifact: str, redis: RedisServer) -> None:
    process = PredictorProcess(tmp_path)
    process.point("late", artifact, redis.address)
    try:
        process.start(environment={"PROVENDER_PREDICTOR_TOKEN": ""})
        assert process.load()[0] == 403
    finally:
        process.stop()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/v2/repository/models/late/unload", "/v1/models/late:predict"])
def test_a_web_page_of_another_site_is_refused(
    predictor: PredictorProcess, path: str, headers: dict[str, str]
) -> None:
    token = {"Authorization": f"Bearer {predictor.token}"}
    assert ask(predictor, path, **token, **headers).startswith(b"HTTP/1.1 403")
    assert ask(predictor, "/v1/models", "GET", **headers).startswith(b"HTTP/1.1 403")
    assert predictor.predict(FLIGHT)[0] == 200

"""The local engine dies in every way, and nothing is left of it: no process, no lock, no address."""

from __future__ import annotations

import random
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from provender.errors import SparkUnavailableError
from provender.spark import server
from provender.spark.session import spark_session
from tests.engine import JARS, Project, make_project
from tests.spark.engines import BOUND_SECONDS, Engine, await_that
from tests.spark.readings import csv, day, key_of, make_readings

pytestmark = pytest.mark.spark
SEEN_SECONDS = 15.0
"""Within how long an engine's death is seen: under a second where the machine is quiet."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Project]:
    """A project with an engine of its own, not started yet."""
    project = make_project(tmp_path, spark={"jars_dir": str(JARS), "driver_memory": "1g"})
    yield project
    server.stop(project.settings)


@pytest.fixture
def engine(own: Project) -> Engine:
    return Engine(own.settings)


def test_an_ingest_whose_jvm_is_killed_says_so_in_seconds_and_works_when_run_again(
    own: Project, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_readings(own)
    own.drop("readings", key_of(1), csv([("a", day(1), 1), ("b", day(1), 2)]))
    killed_at = []

    def killing(spark: SparkSession, input_bytes: int) -> None:
        """In place of the first step of an ingest that has its session."""
        killed_at.append(time.monotonic())
        assert engine.kill("jvm")

    with monkeypatch.context() as patch:
        patch.setattr("provender.ingestion.ingest.tune_for", killing)
        with pytest.raises(SparkUnavailableError) as caught:
            own.run("readings", key_of(1), attempt="killed")
    assert time.monotonic() - killed_at[0] < SEEN_SECONDS
    assert "killed by SIGKILL" in caught.value.what
    assert caught.value.where == str(engine.files.log)
    assert "provender.spark.driver_memory (now 1g)" in caught.value.remedy
    engine.await_none()
    assert not engine.files.address.exists()
    own.run("readings", key_of(1), attempt="again")
    assert_it_is_private(engine)
    assert server.stop(own.settings)
    assert engine.processes() == [] and not server.stop(own.settings)


def assert_it_is_private(engine: Engine) -> None:
    """Nobody but this user, on this machine, can ask the engine or read what it has on disk."""
    found = set(engine.listeners())
    assert {role for role, _ in found} >= {"jvm", "driver"}
    assert {ip.removeprefix("::ffff:") for _, ip in found} == {"127.0.0.1"}
    assert server.server_conf(engine.settings)["spark.authenticate"] == "true"
    assert stat.S_IMODE(engine.files.folder.stat().st_mode) == 0o700
    for file in (engine.files.address, engine.files.log):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_an_engine_that_is_killed_while_it_starts_leaves_nothing(own: Project, engine: Engine) -> None:
    for role in ("client", "supervisor", "guard", "jvm"):
        starter = start_only(own)
        await_that(lambda: bool(engine.members("jvm")) and bool(engine.members("guard")), engine.describe)
        if role == "client":
            starter.kill()
            starter.wait()
            assert server.is_supervised(engine.files), "it goes on: the next command finds it starting"
            assert server.stop(own.settings)
        else:
            await_that(partial(engine.kill, role), engine.describe)
        if role == "guard":
            await_that(lambda: bool(engine.members("guard")), engine.describe)
            await_that(partial(engine.kill, "supervisor"), engine.describe)
        engine.await_none()
        output, _ = starter.communicate(timeout=BOUND_SECONDS)
        assert role == "client" or "SparkUnavailableError" in output, (role, output)


def test_two_commands_at_once_start_one_engine_and_a_third_finds_it_starting(
    own: Project, engine: Engine
) -> None:
    starters = [start_only(own), start_only(own)]
    await_that(lambda: bool(engine.members("jvm")), engine.describe)
    starters.append(start_only(own))
    seen = set()
    while any(starter.poll() is None for starter in starters):
        seen |= {process.pid for process in engine.members("supervisor")}
    assert len(seen) == 1, engine.describe()
    addresses = {starter.communicate()[0].strip() for starter in starters}
    assert len(addresses) == 1 and addresses == {str(server.running(own.settings))}
    with spark_session(own.settings, "in-between"):
        pass
    assert kill_and_explain(own, engine) == "the local Spark engine ended: its supervisor was killed"


def kill_and_explain(own: Project, engine: Engine) -> str:
    """What a command says whose supervisor is killed while it waits for a query."""
    with pytest.raises(SparkUnavailableError) as caught, spark_session(own.settings, "waiting") as spark:
        threading.Timer(1.0, engine.kill, ["supervisor"]).start()
        spark.sql("SELECT sum(hash(a.id, b.id)) FROM range(1000000) a CROSS JOIN range(1000000) b").collect()
    engine.await_none()
    return caught.value.what


def start_only(own: Project) -> subprocess.Popen[str]:
    """A client that starts the engine, says where it is, and ends."""
    code = (
        "import sys; from provender.settings import load_settings; from provender.spark import server\n"
        "with server.in_use(load_settings(sys.argv[1])) as address: print(address)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(own.settings.repo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kills", [25, pytest.param(50, marks=pytest.mark.exhaustive)])
def test_nothing_is_left_after_kills_at_random_moments_and_the_next_command_works(
    own: Project, engine: Engine, kills: int
) -> None:
    chance = random.Random(20261127)
    killed: Counter[str] = Counter()
    while killed.total() < kills:
        # Every tenth kill hits an engine at work, the others one that starts: that is where one comes and goes.
        is_at_work = killed.total() % 10 == 9
        client = engine.client(f"attempt-{killed.total()}") if is_at_work else start_only(own)
        phase = "worker" if is_at_work else chance.choice(("supervisor", "guard", "jvm", "driver"))
        await_that(lambda phase=phase: bool(engine.members(phase)), engine.describe)  # type: ignore[misc]
        threading.Event().wait(chance.uniform(0, 0.5))
        while (roles := engine.roles()) and killed.total() < kills:
            role = chance.choice(sorted(roles | ({"client"} if client.poll() is None else set())))
            if role == "client":
                client.kill()
                client.wait()
            elif not engine.kill(role):
                continue
            killed[role] += 1
            if role in ("supervisor", "jvm", "driver"):
                break
        is_killed = chance.random() < 0.5  # then nobody cleans up: what is left ends by itself
        if is_killed:
            is_killed = engine.kill("supervisor")
        else:
            server.stop(own.settings)
        await_that(engine.is_gone, lambda is_killed=is_killed: f"{killed}, {is_killed}\n{engine.describe()}")  # type: ignore[misc]
        said, _ = client.communicate(timeout=BOUND_SECONDS)
        assert "Traceback" not in said or "SparkUnavailableError" in said, (
            said
        )  # a starter's own, with our error
    assert {"supervisor", "jvm", "guard", "client"} <= set(killed), killed
    said, _ = engine.client("the-last").communicate(timeout=BOUND_SECONDS)
    assert "rows 10" in said

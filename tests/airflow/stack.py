"""A whole checkout in a temporary folder with everything running: Redis, Airflow, the warm Spark engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from provender.demo.raw import write_raw
from provender.ledger import Job, Ledger
from provender.local import airflow_config, airflow_server, jobs, services
from provender.local.airflow_api import FINAL_STATES, AirflowApi
from provender.processes.process import ProcessRecord, free_port
from provender.settings import Settings, load_settings
from provender.storage import storage_at

CHECKOUT = Path(__file__).parents[2]
RUN_SECONDS = 900.0
_LOOK_SECONDS = 0.1


@dataclass
class Stack:
    """The running checkout, and Airflow's own ways into it: REST and command line."""

    settings: Settings
    api: AirflowApi

    def airflow(self, *arguments: str) -> str:
        """Airflow's own command line. Returns what it printed."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "airflow"), *arguments],
            env=airflow_config.environment(self.settings),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait(self, what: str, look: Callable[[], Any]) -> Any:
        """Looks until ``look`` gives something true."""
        deadline = time.monotonic() + RUN_SECONDS
        while not (found := look()):
            assert time.monotonic() < deadline, f"{what}: not within {RUN_SECONDS:.0f} s"
            time.sleep(_LOOK_SECONDS)
        return found

    def end_of(self, dag_id: str, run_id: str) -> str:
        """The run's final state."""

        def final() -> str | None:
            state = self.api.run_state(dag_id, run_id)
            return state if state in FINAL_STATES else None

        return str(self.wait(f"the end of {dag_id} {run_id}", final))

    def run(self, source: str, *, key: str | None = None, **params: Any) -> str:
        """Triggers a run and waits until it succeeded. Returns its id."""
        dag_id = f"features__{source}"
        run_id = self.api.trigger(dag_id, partition_key=key, params=params)
        assert self.end_of(dag_id, run_id) == "success", self.api.task_states(dag_id, run_id)
        return run_id

    def returned(self, source: str, run_id: str, task_id: str) -> dict[str, Any]:
        result: dict[str, Any] = self.api.returned(f"features__{source}", run_id, task_id)
        return result

    def emitted(self, source: str, run_id: str) -> list[str]:
        """Partition keys of the asset events of a run, sorted."""
        events = self.api.asset_events(f"features/{source}")
        return sorted(event["partition_key"] for event in events if event["source_run_id"] == run_id)

    def backfill(self, source: str, first: str, last: str, *options: str) -> str:
        # Airflow runs one backfill of a DAG at a time, and notices up to half a minute late that one is over.
        self.wait("the end of an earlier backfill", lambda: not self._has_backfill(f"features__{source}"))
        command = [
            "backfill",
            "create",
            "--dag-id",
            f"features__{source}",
            "--from-date",
            first,
            "--to-date",
            last,
        ]
        return self.airflow(*command, *options)

    def _has_backfill(self, dag_id: str) -> bool:
        found = self.api.call("GET", f"/backfills?dag_id={dag_id}")["backfills"]
        return any(backfill["completed_at"] is None for backfill in found)

    def backfilled(self, source: str, count: int) -> list[dict[str, Any]]:
        """The ``count`` newest runs of backfills, once all are at an end."""

        def ended() -> list[dict[str, Any]] | None:
            runs = [r for r in self.api.runs(f"features__{source}") if r["run_type"] == "backfill"][:count]
            is_over = len(runs) == count and all(run["state"] in FINAL_STATES for run in runs)
            return runs if is_over else None

        found: list[dict[str, Any]] = self.wait(f"{count} backfill runs of {source}", ended)
        return found

    def processes(self) -> list[psutil.Process]:
        """Every process of Airflow."""
        record = ProcessRecord.read(airflow_server.pid_file(self.settings))
        first = record.process() if record else None
        return [first, *first.children(recursive=True)] if first else []

    def ledger(self, source: str) -> Ledger:
        return Ledger(storage_at(self.settings.storage_root), source)

    def ingested(self, source: str, key: str) -> int:
        """How many manifests of ingest name the partition."""
        return sum(key in manifest.partitions for manifest in self.ledger(source).manifests(Job.INGEST))

    def running_job(self, word: str) -> jobs.Submission:
        """The running submission whose name holds ``word``, once its process is there."""

        def look() -> jobs.Submission | None:
            found = [
                s for s in jobs.running(self.settings.state_dir) if word in s.name and s.pid_file.exists()
            ]
            return found[0] if found else None

        submission: jobs.Submission = self.wait(f"a running job {word}", look)
        return submission

    def task_process(self, dag_id: str, run_id: str, task_id: str) -> psutil.Process:
        """The process that runs the task, once it is there; not the one that supervises it."""

        def look() -> psutil.Process | None:
            path = f"/dags/{dag_id}/dagRuns/{run_id.replace('+', '%2B')}/taskInstances/{task_id}"
            title = f"airflow worker -- {self.api.call('GET', path)['id']}"
            for process in psutil.process_iter(["cmdline"]):
                if " ".join(process.info["cmdline"] or []).strip() == title:
                    return process
            return None

        process: psutil.Process = self.wait(f"the process of {task_id}", look)
        return process


def start(folder: Path, jars: Path) -> Stack:
    """Copies the checkout's rooms into ``folder``, registers the definitions, and starts everything."""
    for room in ("dags", "plugins", "feature_defs"):
        shutil.copytree(CHECKOUT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "training").symlink_to(CHECKOUT / "training")  # with its environment
    _point_settings_here(folder / "feature_defs" / "feature_store.yaml", jars)
    os.environ[airflow_config.PORT_VARIABLE] = str(free_port())
    settings = load_settings(folder / "feature_defs")
    write_raw(settings.repo)
    services.up(settings)
    settings = load_settings(settings.repo)  # the password of Redis is made when it starts first
    apply = [sys.executable, "-m", "provender.feast.apply", "--repo", str(settings.repo)]
    subprocess.run(apply, check=True, cwd=folder)
    stack = Stack(settings, AirflowApi.local(settings))
    stack.wait("the DAGs", lambda: len(stack.api.call("GET", "/dags?dag_id_pattern=features__")["dags"]) >= 3)
    return stack


def stop(stack: Stack) -> None:
    services.down(stack.settings)
    del os.environ[airflow_config.PORT_VARIABLE]


def _point_settings_here(path: Path, jars: Path) -> None:
    document = yaml.safe_load(path.read_text())
    document["online_store"]["connection_string"] = f"127.0.0.1:{free_port()}"
    document["provender"]["spark"] = {"jars_dir": str(jars)}
    document["provender"]["serving"] = {"port": free_port()}
    path.write_text(yaml.safe_dump(document, sort_keys=False))

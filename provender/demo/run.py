"""The demo's steps, from raw files to online values. Each looks at what is there and does only what is missing."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from time import monotonic

from provender.demo.model import MODEL_DAG, gate_table, run_for, store_of
from provender.demo.narrative import tell
from provender.demo.raw import write_raw
from provender.errors import SetupError, TransientError
from provender.intervals import Partition, compress, parse_range
from provender.ledger import Ledger
from provender.local import airflow_config, services
from provender.local.airflow_api import FINAL_STATES, AirflowApi
from provender.settings import Settings, load_settings
from provender.specs.catalog import Catalog
from provender.storage import storage_at

RANGES = {"flights": "2013-01-01..2013-11-30", "weather": "2013-01-01..2013-11-30"}
"""Ingested as one run each: the history."""
BACKFILL = "2013-12-01..2013-12-07"
"""Backfilled day by day, for each source."""
FIRST_KEY = "2013-12-07"
"""The model is trained for it first: the newest of the backfilled days."""
NEXT_KEY = "2013-12-08"
"""One more day, after which the model is trained again."""
SOURCES = ("flights", "weather", "driver_statistics")
LIMIT_SECONDS = 3600.0
_POLL_SECONDS = 1.0
_NEWS_SECONDS = 10.0


@dataclass
class Demo:
    """The demo on the feature repo of ``settings``."""

    settings: Settings

    def run(self) -> None:
        """All steps. Raises :class:`SetupError` (a port, a disk, a tool) or :class:`TransientError` (a red run)."""
        self._step("raw files", self.write_raw_files)
        self._step("Redis", self.start_redis)
        self._step("feature definitions", self.apply)
        self._step("Airflow", lambda: services.up(self.settings))
        self._step("January to November, one run a source", self.ingest_history)
        # Switched on now: of the history's 334 keys none is one that the model waits for.
        self._step("the model's DAG is switched on", self.switch_on_model)
        self._step("seven days of December, by airflow backfill create", lambda: self.backfill(BACKFILL))
        self._step("the model, once its sources have those days", lambda: self.train(FIRST_KEY))
        self._step("one more day", lambda: self.backfill(NEXT_KEY))
        self._step("the model again, next to the one that serves", lambda: self.train(NEXT_KEY))

    def write_raw_files(self) -> None:
        for drop in write_raw(self.settings.repo):
            tell(f"{drop.source}: {drop.files} files, {drop.written} of them new")

    def start_redis(self) -> None:
        services.up(self.settings, airflow=False)
        self.settings = load_settings(self.settings.repo)  # its password is made when it starts first

    def apply(self) -> None:
        command = [sys.executable, "-m", "provender", "--repo", str(self.settings.repo), "apply"]
        if subprocess.run(command, check=False).returncode != 0:
            raise SetupError(
                "the feature definitions could not be applied", remedy="fix the problems listed above"
            )

    def ingest_history(self) -> None:
        api = AirflowApi.local(self.settings)
        runs = {}
        for source, text in RANGES.items():
            missing = self._missing(source, text)
            for first, last in compress(missing):
                tell(f"{source}: {len(missing)} days, {first} to {last}, in one Spark application")
                run = api.trigger(f"features__{source}", params={"start": first.key, "end": last.key})
                runs[f"features__{source}", run] = "queued"
        self._await(api, runs)

    def switch_on_model(self) -> None:
        AirflowApi.local(self.settings).switch_on(MODEL_DAG)

    def train(self, key: str) -> None:
        api = AirflowApi.local(self.settings)
        if key in store_of(self.settings).decided_keys():
            tell(f"{key} had its model already")
        else:
            self._await(api, {(MODEL_DAG, run_for(api, key)): "queued"})
        tell(gate_table(api, key))

    def backfill(self, days: str) -> None:
        api = AirflowApi.local(self.settings)
        asked = {source: compress(self._missing(source, days)) for source in SOURCES}
        before = {source: self._run_ids(api, source) for source, ranges in asked.items() if ranges}
        processes = [self._backfill(source, *span) for source, ranges in asked.items() for span in ranges]
        for process in processes:
            if process.wait() != 0:
                raise TransientError(
                    "airflow backfill create failed", remedy="read what it said above, then make demo"
                )
        runs = {
            (f"features__{source}", run): "queued"
            for source in before
            for run in self._run_ids(api, source) - before[source]
        }
        self._await(api, runs)

    def _step(self, title: str, work: Callable[[], None]) -> None:
        tell(f"\n== {title}")
        started = monotonic()
        work()
        tell(f"   {monotonic() - started:.0f} s")

    def _missing(self, source: str, text: str) -> list[Partition]:
        """The partitions of the range ``text`` that are not ingested, or not online yet."""
        spec = Catalog.load(self.settings.repo).source(source)
        online = {*Ledger(storage_at(self.settings.storage_root), source).state().online_keys()}
        missing = [p for p in parse_range(spec.cadence, text) if p.key not in online]
        if not missing:
            tell(f"{source}: {text} is there already")
        return missing

    def _backfill(self, source: str, first: Partition, last: Partition) -> subprocess.Popen[bytes]:
        command = ["airflow", "backfill", "create", "--dag-id", f"features__{source}"]
        command += ["--from-date", first.key, "--to-date", last.key, "--reprocess-behavior", "failed"]
        tell(" ".join(command))
        return subprocess.Popen(
            command, env=airflow_config.environment(self.settings), stdout=subprocess.DEVNULL
        )

    def _run_ids(self, api: AirflowApi, source: str) -> set[str]:
        return {run["dag_run_id"] for run in api.runs(f"features__{source}")}

    def _await(self, api: AirflowApi, runs: dict[tuple[str, str], str]) -> None:
        """Waits until every run has ended, telling how far they are."""
        deadline, told_at, told = monotonic() + LIMIT_SECONDS, 0.0, ""
        pause = Event()
        while any(state not in FINAL_STATES for state in runs.values()):
            for (dag, run), state in runs.items():
                if state not in FINAL_STATES:
                    runs[dag, run] = api.run_state(dag, run)
            news = ", ".join(f"{count} {state}" for state, count in sorted(Counter(runs.values()).items()))
            if news != told or monotonic() - told_at > _NEWS_SECONDS:
                tell(f"   {news}{self._now_running(api, runs)}")
                told, told_at = news, monotonic()
            if monotonic() > deadline:
                raise TransientError("the runs take too long", where=airflow_config.base_url(self.settings))
            pause.wait(_POLL_SECONDS)
        failed = [f"{dag} {run}" for (dag, run), state in runs.items() if state == "failed"]
        if failed:
            raise TransientError(
                f"{len(failed)} of {len(runs)} runs failed: {', '.join(failed[:3])}",
                where=f"{airflow_config.base_url(self.settings)}, and {self.settings.state_dir / 'logs'}",
                not_affected="every committed partition",
                remedy="read the red task's log in the UI; `make demo` goes on where it stopped",
            )

    def _now_running(self, api: AirflowApi, runs: dict[tuple[str, str], str]) -> str:
        active = [key for key, state in runs.items() if state == "running"][:3]
        tasks = [
            f"{dag.partition('__')[2]}: {task}"
            for dag, run in active
            for task, state in api.task_states(dag, run).items()
            if state == "running"
        ]
        return f"  ({', '.join(tasks)})" if tasks else ""

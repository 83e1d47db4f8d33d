"""A real Airflow on one machine: ``airflow standalone`` (API server, scheduler, DAG processor, triggerer)."""

from __future__ import annotations

import http.client
import json
import logging
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from provender.errors import SetupError
from provender.local import airflow_config
from provender.processes.process import (
    ProcessRecord,
    is_recorded,
    require_free_port,
    start_detached,
    stop_recorded,
)
from provender.settings import Settings

logger = logging.getLogger(__name__)

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_START_SECONDS = 240.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.5


def pid_file(settings: Settings) -> Path:
    return airflow_config.home(settings) / "standalone.pid.json"


def log_file(settings: Settings) -> Path:
    return settings.state_dir / "logs" / "airflow.log"


def start(settings: Settings) -> None:
    """Starts Airflow unless it runs, and waits until every part of it is healthy.

    Raises :class:`SetupError`: the port is taken, the program is missing, or a part does not come up.
    """
    if is_running(settings):
        logger.info(f"airflow: already running at {airflow_config.base_url(settings)}")
        return
    stop(settings)  # parts of one whose first process was killed still have its ports
    host, port = airflow_config.HOST, airflow_config.port(settings)
    require_free_port(host, port, "airflow", f"free the port, or set {airflow_config.PORT_VARIABLE}=8081")
    airflow_config.write(settings)
    logger.info("airflow: starting (database, API server, scheduler, DAG processor, triggerer)")
    record = start_detached(
        [str(Path(sys.executable).parent / "airflow"), "standalone"],
        log=log_file(settings),
        pid_file=pid_file(settings),
        cwd=settings.repo.parent,
        env=airflow_config.environment(settings),
    )
    _await_health(settings, record)
    logger.info(f"airflow: running at {airflow_config.base_url(settings)}")


def stop(settings: Settings) -> bool:
    """Ends Airflow with every task it runs; False if it did not run."""
    return stop_recorded(pid_file(settings), _STOP_SECONDS)


def is_running(settings: Settings) -> bool:
    """Whether the Airflow that :func:`start` started is there (healthy or not)."""
    return is_recorded(pid_file(settings))


def health(settings: Settings) -> dict[str, str]:
    """Status by component (``healthy`` or what Airflow says); empty while the API server does not answer."""
    url = f"{airflow_config.base_url(settings)}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            document = json.load(answer)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return {}
    return {name: str((document.get(name) or {}).get("status")) for name in COMPONENTS}


def _await_health(settings: Settings, record: ProcessRecord) -> None:
    deadline = time.monotonic() + _START_SECONDS
    told: set[str] = set()
    while True:
        healthy = {name for name, status in health(settings).items() if status == "healthy"}
        for name in sorted(healthy - told):
            logger.info(f"airflow: {name.replace('_', ' ')} is healthy")
        told |= healthy
        if len(healthy) == len(COMPONENTS):
            return
        if not record.is_alive or time.monotonic() > deadline:
            missing = ", ".join(name for name in COMPONENTS if name not in healthy)
            stop(settings)
            raise SetupError(
                f"airflow did not start: {missing} not healthy after {_START_SECONDS:.0f} s",
                where=str(log_file(settings)),
                not_affected="nothing was scheduled",
                remedy="read the end of the log, fix the cause, run the command again",
            )
        time.sleep(_POLL_SECONDS)

"""What runs on one machine, as one list: Redis, Airflow, the predictor, running jobs, the warm Spark engine."""

from __future__ import annotations

import errno
import fcntl
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from provender.errors import PredictorError, SetupError
from provender.local import airflow_config, airflow_server, jobs, predictor, redis_server
from provender.private import keep_private
from provender.processes.marks import end, marked_below
from provender.processes.process import ProcessRecord
from provender.settings import Settings

logger = logging.getLogger(__name__)

_NEEDED_BYTES = 1_000_000_000
_MARKED = ("airflow", "jobs", "predictor", "redis", "spark")
"""Folders of the state directory with pid files; the full profile has others, and a command of its own."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as a person sees it."""

    name: str
    state: str
    address: str
    detail: str = ""


def up(settings: Settings, *, airflow: bool = True) -> None:
    """Starts what does not run yet and waits until it is healthy. Raises :class:`SetupError`."""
    _require_disk(settings)
    keep_private(settings)
    with _disk_full_is_one_sentence(settings), _alone(settings):
        if redis_server.is_ours(settings):
            redis_server.start(settings)
        else:
            logger.info(f"redis: {settings.redis.split(',')[0]} is another machine's, not started here")
        if predictor.pointers(settings):  # a first deployment starts it otherwise
            predictor.ensure(settings)
        if airflow:
            airflow_server.start(settings)


def down(settings: Settings) -> None:
    """Ends everything :func:`up` and the jobs started, jobs first, Redis last (it saves what it has).

    Whatever is left then, because a pid file was lost or a supervisor killed, is ended by its mark. Raises
    :class:`SetupError`, naming the processes, if the system cannot end them.
    """
    logger.info("airflow: stopped" if airflow_server.stop(settings) else "airflow: was not running")
    for name in jobs.stop_all(settings.state_dir):
        logger.info(f"job {name}: ended")
    if _stop_spark(settings):
        logger.info("spark: stopped")
    if predictor.stop(settings):
        logger.info("predictor: stopped")
    if redis_server.is_ours(settings):
        logger.info("redis: stopped" if redis_server.stop(settings) else "redis: was not running")
    _end_leftovers(settings)


def _end_leftovers(settings: Settings) -> None:
    folders = [settings.state_dir / name for name in _MARKED]
    if not end(lambda: marked_below(folders), 0):
        return
    if remaining := marked_below(folders):
        raise SetupError(
            f"processes do not end: {', '.join(str(process.pid) for process in remaining)}",
            where=str(settings.state_dir),
            not_affected="all committed data",
            remedy="look for a disk that does not answer, then run: provender down",
        )
    logger.info("processes that something killed had left behind: ended")


def status(settings: Settings) -> list[ServiceStatus]:
    """Every service, running or not."""
    return [
        _redis_status(settings),
        _airflow_status(settings),
        _predictor_status(settings),
        *_job_statuses(settings),
    ]


def _redis_status(settings: Settings) -> ServiceStatus:
    host, port = redis_server.address(settings)
    state = "running" if redis_server.answers(host, port) else "stopped"
    return ServiceStatus("redis", state, f"{host}:{port}", str(redis_server.log_file(settings)))


def _airflow_status(settings: Settings) -> ServiceStatus:
    url, log = airflow_config.base_url(settings), str(airflow_server.log_file(settings))
    if not airflow_server.is_running(settings):
        return ServiceStatus("airflow", "stopped", url, log)
    health = airflow_server.health(settings)
    unhealthy = [name for name in airflow_server.COMPONENTS if health.get(name) != "healthy"]
    return ServiceStatus(
        "airflow", f"not healthy: {', '.join(unhealthy)}" if unhealthy else "running", url, log
    )


def _predictor_status(settings: Settings) -> ServiceStatus:
    log = str(predictor.log_file(settings))
    if not predictor.is_running(settings):
        return ServiceStatus("predictor", "stopped", predictor.url(settings), log)
    try:
        found = predictor.models(settings)
    except PredictorError as error:
        return ServiceStatus("predictor", f"not healthy: {error.what}", predictor.url(settings), log)
    unhealthy = [model["name"] for model in found if model["failure"] and not model["version"]]
    state = f"not loaded: {', '.join(unhealthy)}" if unhealthy else "running"
    served = ", ".join(f"{model['name']} {model['version']}" for model in found if model["version"])
    return ServiceStatus("predictor", state, predictor.url(settings), served or log)


def _job_statuses(settings: Settings) -> Iterator[ServiceStatus]:
    for submission in jobs.running(settings.state_dir):
        record = ProcessRecord.read(submission.pid_file)
        pid = f"pid {record.pid}" if record else ""
        yield ServiceStatus(f"job {submission.attempt}", "running", pid, str(submission.log_file))


def _stop_spark(settings: Settings) -> bool:
    from provender.spark import server

    return bool(server.stop(settings))


def _require_disk(settings: Settings) -> None:
    folder = next(p for p in (settings.state_dir, *settings.state_dir.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        raise SetupError(
            f"the disk is full: {free // 1_000_000} MB free, {_NEEDED_BYTES // 1_000_000} MB needed",
            where=str(folder),
            remedy="free some space, or set provender.state_dir and storage_root to another disk",
        )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One ``up`` at a time: a second one finds what the first has started. Ends with its process."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / "up.lock").open("a") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


@contextmanager
def _disk_full_is_one_sentence(settings: Settings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise SetupError(
            "the disk is full", where=error.filename or str(settings.state_dir), remedy="free some space"
        ) from error

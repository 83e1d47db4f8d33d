"""The model server of this machine: one KServe process for all models, from the environment in ``serving/``.

    <state_dir>/predictor/models/<model>.json   the pointers: what each name stands for (they may hold a password)
    <state_dir>/predictor/predictor.pid.json    the process
    <state_dir>/predictor/token                 what a caller has to know to load and unload models; mode 0600
    <state_dir>/logs/predictor.log              what it says

The pointers outlive the process: started again, it serves what it served.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provender.errors import DeployError, PredictorError, SetupError
from provender.local.project import project_folder
from provender.processes.process import (
    is_recorded,
    last_line,
    replace_text,
    require_free_port,
    start_detached,
    stop_recorded,
)
from provender.settings import SETTINGS_FILE, Settings

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
SERVING_VARIABLE = "PROVENDER_SERVING_HOME"
"""Folder of the serving environment, where it is not ``serving/`` beside the feature repo."""
TOKEN_VARIABLE = "PROVENDER_PREDICTOR_TOKEN"
"""Where the server finds its token (provender_serving/guard.py)."""
_TOKEN_BYTES = 32
_START_SECONDS = 120.0
_STOP_SECONDS = 40.0
_ANSWER_SECONDS = 60.0
_POLL_SECONDS = 0.1
_NOT_FOUND = 404
_OK = 200


def url(settings: Settings) -> str:
    """Where it answers, without a slash at the end."""
    return f"http://{HOST}:{settings.serving.port}"


def pid_file(settings: Settings) -> Path:
    return _folder(settings) / "predictor.pid.json"


def log_file(settings: Settings) -> Path:
    return settings.state_dir / "logs" / "predictor.log"


def pointers(settings: Settings) -> list[str]:
    """Names of the models it is to serve, whether it runs or not."""
    return sorted(path.stem for path in _models_folder(settings).glob("*.json"))


def ensure(settings: Settings) -> None:
    """Starts it unless it runs, and waits until every model that has a pointer is loaded, or has failed to.

    Raises :class:`SetupError` if its environment is not installed or its port is taken, :class:`PredictorError`
    if it does not come up.
    """
    with _alone(settings):
        if is_running(settings):
            _await_models(settings)
            logger.info(f"predictor: already running at {url(settings)}")
            return
        stop(settings)  # one whose pid file is lost still has the port
        remedy = f"free the port, or set provender.serving.port in {settings.repo / SETTINGS_FILE}"
        require_free_port(HOST, settings.serving.port, "predictor", remedy)
        logger.info("predictor: starting")
        _start(settings)
        _await_models(settings)
        logger.info(f"predictor: running at {url(settings)}")


def stop(settings: Settings) -> bool:
    """Ends it after the requests under way; False if it did not run."""
    return stop_recorded(pid_file(settings), _STOP_SECONDS)


def is_running(settings: Settings) -> bool:
    """Whether the process that :func:`ensure` started is there."""
    return is_recorded(pid_file(settings))


def models(settings: Settings) -> list[dict[str, Any]]:
    """What it serves: name, version, since (ISO 8601), and the failure of the latest load, null where there is none.

    Raises :class:`PredictorError` if it does not answer.
    """
    _, answer = _ask(settings, "/provender/models")
    found: list[dict[str, Any]] = answer["models"]
    return found


def load(settings: Settings, model: str, pointer: Mapping[str, Any]) -> None:
    """Serves what ``pointer`` names as ``model``. What served under that name before does so until then.

    If it cannot be loaded the former pointer is put back, and the server's reason raised: as
    :class:`PredictorError` if trying again can help (Redis is down, the server is not there), otherwise as
    :class:`DeployError`.
    """
    path = _models_folder(settings) / f"{model}.json"
    with _alone(settings):
        before = path.read_text(encoding="utf-8") if path.exists() else None
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(pointer, indent=1), mode=0o600)
        try:
            status, answer = _ask(settings, f"/v2/repository/models/{model}/load", "POST")
            if status != _OK:
                raise _refused(settings, model, answer)
        except BaseException:
            _put_back(path, before)
            raise


def unload(settings: Settings, model: str) -> None:
    """Serves ``model`` no longer; not an error if it is not served. Raises :class:`PredictorError`."""
    with _alone(settings):
        (_models_folder(settings) / f"{model}.json").unlink(missing_ok=True)
        if not is_running(settings):
            return
        status, answer = _ask(settings, f"/v2/repository/models/{model}/unload", "POST")
        if status not in (_OK, _NOT_FOUND):
            raise PredictorError(f"{model} was not unloaded: {answer}", where=url(settings))


def python(settings: Settings) -> Path:
    """The interpreter of the serving environment. Raises :class:`SetupError` if it is not installed."""
    home = _home(settings)
    found = home / ".venv" / "bin" / "python"
    if not found.exists():
        raise SetupError(
            "the serving environment is not installed",
            where=str(home),
            remedy=f"uv sync --frozen --project serving, or name the folder: {SERVING_VARIABLE}=FOLDER",
        )
    return found


def _home(settings: Settings) -> Path:
    return project_folder("serving", SERVING_VARIABLE, settings.repo)


def _folder(settings: Settings) -> Path:
    return settings.state_dir / "predictor"


def _token(settings: Settings) -> str:
    """The token of the server that runs; recreated with each start."""
    try:
        return (_folder(settings) / "token").read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def _models_folder(settings: Settings) -> Path:
    return _folder(settings) / "models"


def _start(settings: Settings) -> None:
    _models_folder(settings).mkdir(parents=True, exist_ok=True)
    command = [str(python(settings)), "-m", "provender_serving", "--host", settings.serving.listen]
    command += ["--http_port", str(settings.serving.port), "--models-dir", str(_models_folder(settings))]
    # This process' own packages are not the server's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment[TOKEN_VARIABLE] = secrets.token_urlsafe(_TOKEN_BYTES)
    replace_text(_folder(settings) / "token", environment[TOKEN_VARIABLE], mode=0o600)
    start_detached(
        command, log=log_file(settings), pid_file=pid_file(settings), cwd=_home(settings), env=environment
    )


def _await_models(settings: Settings) -> None:
    """Until the server answers and has tried every pointer once."""
    deadline = time.monotonic() + _START_SECONDS
    while not _is_settled(settings):
        if not is_running(settings) or time.monotonic() > deadline:
            stop(settings)
            raise PredictorError(
                f"the predictor did not come up: {last_line(log_file(settings))}",
                where=str(log_file(settings)),
                not_affected="the pointers of what it serves",
                remedy="read the end of the log, fix the cause, run the command again",
            )
        time.sleep(_POLL_SECONDS)


def _is_settled(settings: Settings) -> bool:
    try:
        _, answer = _ask(settings, "/provender/models")
    except PredictorError:
        return False
    return not answer["starting"]


def _ask(settings: Settings, path: str, method: str = "GET") -> tuple[int, Any]:
    """Status and JSON body. Raises :class:`PredictorError` if nobody answers."""
    headers = {"Authorization": f"Bearer {_token(settings)}"} if method == "POST" else {}
    request = urllib.request.Request(f"{url(settings)}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        return error.code, json.loads(text) if text.startswith("{") else {"error": text}
    except (OSError, ValueError) as error:  # URLError, a timeout, a body that broke off
        raise PredictorError(
            f"the predictor does not answer: {getattr(error, 'reason', None) or error}",
            where=f"{url(settings)}, log {log_file(settings)}",
            remedy="provender up, then run the same again",
        ) from error


def _refused(settings: Settings, model: str, answer: Mapping[str, Any]) -> DeployError | PredictorError:
    kind = DeployError if answer.get("terminal", True) else PredictorError
    return kind(
        f"{model} was not loaded: {answer.get('error', answer)}",
        where=url(settings),
        not_affected="what served before serves on",
        remedy="fix the cause, then deploy again",
    )


def _put_back(path: Path, before: str | None) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        replace_text(path, before, mode=0o600)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One start, load or unload at a time on this machine; ends with its process."""
    _folder(settings).mkdir(parents=True, exist_ok=True)
    with (_folder(settings) / "lock").open("a") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield

"""The ``AIRFLOW_HOME`` of one machine: ``airflow.cfg``, secrets, and settings measured on two cores.

Everything is in the file rather than in variables, so that Airflow's own command line needs ``AIRFLOW_HOME``
alone. What a person sets as ``AIRFLOW__SECTION__KEY`` still wins.
"""

from __future__ import annotations

import configparser
import io
import json
import os
import secrets
import shlex
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

from provender.errors import SetupError
from provender.processes.process import free_port, replace_text
from provender.settings import Settings

PORT_VARIABLE = "PROVENDER_AIRFLOW_PORT"
DEFAULT_PORT = 8080
USER = "admin"
HOST = "127.0.0.1"
_LOCAL_SETTINGS = """\
from provender.local import preload

preload.on_loopback()
preload.in_scheduler()
"""


def home(settings: Settings) -> Path:
    return settings.state_dir / "airflow"


def port(settings: Settings) -> int:
    """The API server's port: ``$PROVENDER_AIRFLOW_PORT``, else that of the last start, else 8080."""
    named = os.environ.get(PORT_VARIABLE, "").strip()
    if named:
        return _port_number(named)
    known = _read(settings).get("api", "port", fallback="")
    return int(known) if known else DEFAULT_PORT


def base_url(settings: Settings) -> str:
    return f"http://{HOST}:{port(settings)}"


def credentials(settings: Settings) -> tuple[str, str]:
    """User and password of the UI, made once; the file is for its owner's eyes only."""
    path = _password_file(settings)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps({USER: secrets.token_urlsafe(12)}) + "\n", mode=0o600)
    return USER, str(json.loads(path.read_text(encoding="utf-8"))[USER])


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment with what the ``airflow`` command needs."""
    programs = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home(settings)),
        "PATH": path if programs in path.split(os.pathsep) else f"{programs}{os.pathsep}{path}",
        "PROVENDER_REPO": str(settings.repo),
    }


def shell_file(settings: Settings) -> Path:
    """A file to be read by a shell (``. FILE``), after which ``airflow`` means this Airflow."""
    return settings.state_dir / "airflow.sh"


def write(settings: Settings) -> None:
    """Writes ``airflow.cfg`` and what Airflow runs at its start again; secrets and log ports stay."""
    credentials(settings)
    known = _read(settings)
    parser = configparser.ConfigParser(interpolation=None)
    for section, options in _options(settings, known).items():
        parser[section] = {key: str(value) for key, value in options.items()}
    path = _config_file(settings)
    text = io.StringIO()
    text.write("# Written by `provender up`. Your own settings: variables AIRFLOW__SECTION__KEY.\n")
    parser.write(text)
    replace_text(path, text.getvalue(), mode=0o600)
    local_settings = home(settings) / "config" / "airflow_local_settings.py"
    local_settings.parent.mkdir(exist_ok=True)
    replace_text(local_settings, _LOCAL_SETTINGS)
    replace_text(shell_file(settings), _shell_text(settings))


def _options(settings: Settings, known: configparser.ConfigParser) -> dict[str, dict[str, object]]:
    """Sections and options of ``airflow.cfg``. Airflow interpolates percent signs, so there are none."""
    checkout = settings.repo.parent
    cores = os.cpu_count() or 2
    return {
        "core": {
            "dags_folder": checkout / "dags",
            "plugins_folder": checkout / "plugins",
            "executor": "LocalExecutor",
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": _password_file(settings),
            "fernet_key": _secret(known, "core", "fernet_key", _fernet_key),
            # Every worker is a process kept in memory; tasks mostly wait for Spark.
            "parallelism": max(6, 3 * cores),
            "max_active_tasks_per_dag": 8,
            "max_active_runs_per_dag": 4,
            "hostname_callable": "provender.local.preload.host_name",
            "execute_tasks_new_python_interpreter": False,
            "min_serialized_dag_update_interval": 5,
        },
        "database": {
            "sql_alchemy_conn": f"sqlite:///{home(settings) / 'airflow.db'}",
            "sql_alchemy_connect_args": "provender.local.preload.SQLITE_ARGUMENTS",
        },
        "logging": {
            "base_log_folder": settings.state_dir / "logs" / "airflow",
            "dag_processor_child_process_log_directory": settings.state_dir / "logs" / "dag_processor",
            "file_task_handler_new_folder_permissions": "0o700" if settings.private else "0o775",
            "file_task_handler_new_file_permissions": "0o600" if settings.private else "0o664",
            "colored_console_log": False,
            "worker_log_server_port": _log_port(known, "worker_log_server_port"),
            "trigger_log_server_port": _log_port(known, "trigger_log_server_port"),
        },
        "api": {
            "host": HOST,
            "port": port(settings),
            "base_url": base_url(settings),
            "workers": 1,
            "secret_key": _secret(known, "api", "secret_key", secrets.token_urlsafe),
        },
        "api_auth": {"jwt_secret": _secret(known, "api_auth", "jwt_secret", secrets.token_urlsafe)},
        "workers": {"execution_api_timeout": 30},
        "scheduler": {
            "scheduler_idle_sleep_time": 0.2,
            "scheduler_heartbeat_sec": 1,
            "job_heartbeat_sec": 5,
            "task_instance_heartbeat_timeout": 60,
            "orphaned_tasks_check_interval": 60,
        },
        "triggerer": {"capacity": 500, "job_heartbeat_sec": 5},
        "dag_processor": {
            "refresh_interval": 10,
            "min_file_process_interval": 30,
            "parsing_processes": 1,
            "print_stats_interval": 300,
        },
        "usage_data_collection": {"enabled": False},
    }


def _shell_text(settings: Settings) -> str:
    variables = {"AIRFLOW_HOME": str(home(settings)), "PROVENDER_REPO": str(settings.repo)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"', ""])


def _port_number(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise SetupError(f"{PORT_VARIABLE} is {text!r}, not a port", remedy=f"write: {PORT_VARIABLE}=8081")
    return int(text)


def _log_port(known: configparser.ConfigParser, option: str) -> int:
    text = known.get("logging", option, fallback="")
    return int(text) if text else free_port()


def _secret(known: configparser.ConfigParser, section: str, option: str, make: Callable[[], str]) -> str:
    return known.get(section, option, fallback="") or make()


def _fernet_key() -> str:
    return urlsafe_b64encode(os.urandom(32)).decode()


def _config_file(settings: Settings) -> Path:
    return home(settings) / "airflow.cfg"


def _password_file(settings: Settings) -> Path:
    return home(settings) / "passwords.json"


def _read(settings: Settings) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(_config_file(settings), encoding="utf-8")
    return parser

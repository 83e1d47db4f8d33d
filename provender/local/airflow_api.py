"""Airflow's REST API as this project uses it: plain HTTP, no Airflow import.

Airflow refuses what cannot be (a partition key of another form, an unknown DAG) with a sentence, which is the
error's text here.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from provender.errors import PartitionError, TransientError
from provender.local import airflow_config
from provender.settings import Settings

_TIMEOUT_SECONDS = 30.0
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)
FINAL_STATES = frozenset({"success", "failed"})


class AirflowApi:
    """A signed-in client of the API server at ``base_url``."""

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = {"username": user, "password": password}
        self._token: str | None = None

    @classmethod
    def local(cls, settings: Settings) -> AirflowApi:
        """The Airflow that ``provender up`` started."""
        return cls(airflow_config.base_url(settings), *airflow_config.credentials(settings))

    def trigger(
        self, dag_id: str, *, partition_key: str | None = None, params: dict[str, Any] | None = None
    ) -> str:
        """Starts a run and returns its id. Raises :class:`PartitionError` if Airflow refuses it."""
        body: dict[str, Any] = {"logical_date": None, "conf": params or {}}
        if partition_key is not None:
            body["partition_key"] = partition_key
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def switch_on(self, dag_id: str) -> None:
        """Unpauses a DAG; nothing changes for one that is on. Raises :class:`PartitionError` if there is none."""
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})

    def run_state(self, dag_id: str, run_id: str) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}")["state"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The DAG's runs, newest first (at most 100)."""
        return list(self.call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-id")["dag_runs"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """State by task id; None: not yet scheduled."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances"
        return {task["task_id"]: task["state"] for task in self.call("GET", path)["task_instances"]}

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.call("GET", path)["value"]

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Marks a task, as the UI does; one that runs is ended."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}"
        self.call("PATCH", path, {"new_state": state})

    def asset_events(self, asset: str) -> list[dict[str, Any]]:
        """Events of the asset called ``asset``, newest first (at most 100); each has ``partition_key``."""
        path = f"/assets/events?limit=100&order_by=-timestamp&name_pattern={_quoted(asset)}"
        return [event for event in self.call("GET", path)["asset_events"] if event["name"] == asset]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request under ``/api/v2``, answered by JSON.

        On SQLite, Airflow answers 500 and undoes everything when two of its writers meet: it is asked again.
        """
        for pause_seconds in _PAUSES_SECONDS:
            try:
                return self._call_once(method, path, body)
            except TransientError:
                time.sleep(pause_seconds)
        return self._call_once(method, path, body)

    def _call_once(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        if self._token is None:
            answer = self._send("POST", "/auth/token", self._credentials, {})
            self._token = str(answer["access_token"])
        return self._send(method, f"/api/v2{path}", body, {"Authorization": f"Bearer {self._token}"})

    def _send(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(
            self._base_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refusal(error, f"{method} {path}") from error
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            raise TransientError(
                f"airflow does not answer: {error}", where=self._base_url, remedy="run: provender up"
            ) from error


def _refusal(error: urllib.error.HTTPError, where: str) -> PartitionError | TransientError:
    text = error.read().decode("utf-8", errors="replace")
    try:
        detail = json.loads(text).get("detail", text)
    except ValueError:
        detail = text
    if error.code < 500:
        return PartitionError(f"airflow refuses it ({error.code}): {detail}", where=where)
    return TransientError(f"airflow failed ({error.code}): {detail}", where=where)


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")

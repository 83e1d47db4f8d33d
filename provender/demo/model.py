"""The demo's model: its runs in Airflow, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Event
from time import monotonic
from typing import Any

from provender.local import predictor
from provender.local.airflow_api import AirflowApi
from provender.model_registry.artifact import LOCKFILE, Artifact
from provender.model_registry.deployments import Deployment
from provender.model_registry.store import ModelStore
from provender.serving_backends.client import PredictorClient
from provender.settings import Settings
from provender.specs.source import EVENT_TIMESTAMP
from provender.storage import storage_at

MODEL = "flight_delay"
MODEL_DAG = f"model__{MODEL}"
_APPEARS_WITHIN_SECONDS = 60.0
_POLL_SECONDS = 1.0
_SHOWN_METRICS = ("roc_auc", "log_loss", "average_precision", "brier")


def store_of(settings: Settings) -> ModelStore:
    """What is stored of the model."""
    return ModelStore(storage_at(settings.storage_root), MODEL)


def run_for(api: AirflowApi, key: str) -> str:
    """The run that trains for ``key``: the one its sources' partitions start, or else one by hand."""
    deadline, pause = monotonic() + _APPEARS_WITHIN_SECONDS, Event()
    while monotonic() < deadline:
        for run in api.runs(MODEL_DAG):
            if run["partition_key"] == key and run["state"] != "failed":
                return str(run["dag_run_id"])
        pause.wait(_POLL_SECONDS)
    return api.trigger(MODEL_DAG, partition_key=key)


def gate_table(api: AirflowApi, key: str) -> str:
    """What the gate compared in the newest run that decided about ``key``."""
    for run in api.runs(MODEL_DAG):
        if run["partition_key"] == key and run["state"] == "success":
            states = api.task_states(MODEL_DAG, run["dag_run_id"])
            if states.get("gate") == "success":
                return str(api.returned(MODEL_DAG, run["dag_run_id"], "gate")["table"])
    return f"no run of {MODEL_DAG} decided about {key}"


def model_report(settings: Settings) -> Iterator[str]:
    """Lines: the version that serves, what it was trained on, its scores, and one request with its answer."""
    store = store_of(settings)
    serving, artifact = store.state().serving, store.serving_artifact()
    if serving is None or artifact is None:
        yield f"no version of {MODEL} serves"
        return
    yield from _version(serving, artifact)
    yield ""
    yield from _request(settings, serving)


def _version(serving: Deployment, artifact: Artifact) -> Iterator[str]:
    lockfile = artifact.read_json(LOCKFILE)
    evaluation = artifact.read_json("evaluation.json")
    since = f"{serving.at:%Y-%m-%d %H:%M:%S} UTC" if serving.at else "?"
    yield f"version        {artifact.version}, trained for {serving.key}, serving since {since}"
    yield f"training set   {lockfile['id']}: {lockfile['result']['rows']:,} rows, {len(lockfile['features'])} features"
    yield f"               {artifact.uri}/{LOCKFILE}"
    yield from _scores(evaluation, artifact.metrics)


def _scores(evaluation: dict[str, Any], metrics: dict[str, float]) -> Iterator[str]:
    rows = {"the model": metrics, **evaluation.get("baselines", {})}
    names = [name for name in _SHOWN_METRICS if name in metrics]
    yield f"{'held-out rows':<24}" + "".join(f"{name:>20}" for name in names)
    for title, values in rows.items():
        cells = (f"{values[name]:>20.4f}" if name in values else f"{'':>20}" for name in names)
        yield f"  {title:<22}" + "".join(cells)


def _request(settings: Settings, serving: Deployment) -> Iterator[str]:
    smoke = serving.smoke
    instance = {**smoke["entities"][0], EVENT_TIMESTAMP: smoke["at"]}
    client = PredictorClient(predictor.url(settings), MODEL)
    answer = client.predict([instance], return_features=True)
    body = json.dumps({"instances": [instance], "return_features": True})
    yield f"curl -s {client.url}/v1/models/{MODEL}:predict -H 'Content-Type: application/json' -d '{body}'"
    yield f"prediction: {answer.predictions[0]:.4f} (version {answer.version})"
    yield f"{'feature':<36}{'online':>14}{'offline':>14}"
    for name, found in answer.features[0].items():
        offline = smoke["offline"][name][0]
        yield f"  {name:<34}{_number(found['value']):>14}{_number(offline):>14}"


def _number(value: Any) -> str:
    return "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)

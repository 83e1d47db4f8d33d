"""Every metric that a panel or an alert asks for is one that something emits."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from provender import metrics
from provender.ledger import Draft, Job, Kind, Ledger
from provender.storage import storage_at
from tests.deploy.statsd_exporter import Exporter, Metric
from tests.engine import CHECKOUT, make_project

MONITORING = CHECKOUT / "deploy/monitoring"
EXPORTER = Exporter.of(MONITORING / "statsd-mapping.yaml")
HISTOGRAM = ("_bucket", "_sum", "_count")
PROMQL = {"sum", "by", "rate", "increase", "histogram_quantile", "absent", "or", "and", "unless"}


def predictor_metrics() -> dict[str, set[str]]:
    """Name and labels, from the top of the predictor's module."""
    module = CHECKOUT / "serving/provender_serving/metrics.py"
    text = ast.get_docstring(ast.parse(module.read_text())) or ""
    return {
        name: set(labels.split(","))
        for name, labels in re.findall(r"^ +(provender_\w+)\{([^}]*)\}", text, re.MULTILINE)
    }


def emitted() -> dict[str, set[str]]:
    """Labels of every metric there is; a histogram's parts under their own names, with ``le``."""
    known = {**EXPORTER.labels, **predictor_metrics()}
    parts = {f"{name}{part}": labels | {"le"} for name, labels in known.items() for part in HISTOGRAM}
    return {**known, **parts}


def queries() -> list[tuple[str, str]]:
    """(where, PromQL) of all panels and alerts."""
    dashboard = json.loads((MONITORING / "grafana/dashboards/provender.json").read_text())
    panels = [
        (panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]
    ]
    alerts = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [*panels, *((rule["alert"], rule["expr"]) for group in alerts for rule in group["rules"])]


@pytest.mark.parametrize(("where", "query"), queries(), ids=lambda text: text[:40])
def test_a_query_asks_for_what_is_emitted(where: str, query: str) -> None:
    known = emitted()
    without_texts = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", " ", without_texts)
    names = set(re.findall(r"[a-zA-Z_]\w*", bare)) - PROMQL
    assert names
    assert names - known.keys() == set()
    asked = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", " ".join(re.findall(r"\{([^}]*)\}", without_texts))))
    asked |= {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    assert asked - set().union(*(known[name] for name in names)) == set()


def test_legends_name_labels_that_the_query_keeps() -> None:
    dashboard = json.loads((MONITORING / "grafana/dashboards/provender.json").read_text())
    known = emitted()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            kept = re.findall(r"by \(([^)]*)\)", target["expr"])
            labels = (
                set(re.findall(r"\w+", kept[0]))
                if kept
                else known[target["expr"].split("(")[-1].split("[")[0]]
            )
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]


def test_panels_have_places_of_their_own() -> None:
    panels = json.loads((MONITORING / "grafana/dashboards/provender.json").read_text())["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_name_of_the_emitters_is_mapped(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        channel.settimeout(5)
        project = make_project(tmp_path, spark={}).settings
        settings = project.model_copy(update={"statsd": f"127.0.0.1:{channel.getsockname()[1]}"})
        ledger = Ledger(storage_at(settings.storage_root), "trips")
        now = datetime.now(UTC)
        for kind, counts in ((Kind.MANIFEST, {"accepted": 3, "quarantined": 1}), (Kind.RECEIPT, {})):
            done = ledger.commit(
                Draft(Job.INGEST, "a", kind, {}, started=now - timedelta(seconds=2), counts=counts)
            )
            metrics.job_done(settings, done)
        metrics.job_failed(settings, Job.MATERIALIZE, "trips")
        metrics.freshness(settings, "trips", now)
        lines = [channel.recv(1024).decode() for _ in range(8)]
    ingest = {"step": "ingest", "source": "trips"}
    attempts = "provender_attempts_total"
    assert [EXPORTER.metric(line.partition(":")[0]) for line in lines] == [
        Metric("provender_attempt_seconds", ingest),
        Metric(attempts, {**ingest, "outcome": "committed"}),
        Metric("provender_rows_total", {**ingest, "count": "accepted"}),
        Metric("provender_rows_total", {**ingest, "count": "quarantined"}),
        Metric("provender_attempt_seconds", ingest),
        Metric(attempts, {**ingest, "outcome": "receipt"}),
        Metric(attempts, {"step": "materialize", "source": "trips", "outcome": "failed"}),
        Metric("provender_freshness_seconds", {"source": "trips"}),
    ]


def test_every_name_that_is_documented_is_mapped() -> None:
    names = re.findall(r"^ +(provender\.\S+)", metrics.__doc__ or "", re.MULTILINE)
    assert len(names) >= 6
    for name in names:
        found = EXPORTER.metric(re.sub(r"<\w+>", "x", name))
        assert found is not None, name
        assert found.name in EXPORTER.labels


def test_airflows_names_are_airflows() -> None:
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    registry = yaml.safe_load((folder / "_shared/observability/metrics/metrics_template.yaml").read_text())
    sent = set()
    for metric in registry["metrics"]:
        name = metric["name"] if metric["legacy_name"] == "-" else metric["legacy_name"]
        sent.add("airflow." + re.sub(r"\{\w+\}", "*", name))
    named = {rule["match"] for rule in EXPORTER.rules if rule["match"].startswith("airflow.")}
    assert named - sent == set()


def test_what_nobody_asks_for_is_dropped() -> None:
    assert EXPORTER.metric("airflow.dag.flights.ingest.duration") is None
    assert EXPORTER.metric("airflow.ti.finish") is None


def test_one_exporter_is_used_everywhere() -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())
    manifest = (MONITORING / "statsd-exporter.yaml").read_text()
    assert compose["services"]["statsd-exporter"]["image"] in manifest

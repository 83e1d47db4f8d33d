"""A real API server: ``make test-cluster KUBECONFIG=FILE [NAMESPACE=…]``."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import config

from provender.clients.kubernetes_api import KubernetesApi, RefusedError
from tests.cluster.operators import Operators
from tests.cluster.sandbox import SERVICES, SPARK, Sandbox, sandbox
from tests.deploy.rendering import Rendered, render
from tests.engine import CHECKOUT

# Airflow reads its home when it is first imported, which a test module does.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="provender-airflow-"))
sys.path.insert(0, str(CHECKOUT / "plugins"))

KUBECONFIG, NAMESPACE = "PROVENDER_TEST_KUBECONFIG", "PROVENDER_TEST_NAMESPACE"


def pytest_configure() -> None:
    """Ended from outside (a time limit), the run cleans up as after Ctrl-C."""
    if os.environ.get(KUBECONFIG):
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a cluster there is nothing to test: ``make test-cluster`` names one."""
    if os.environ.get(KUBECONFIG):
        return
    for item in items:
        if item.get_closest_marker("cluster"):
            item.add_marker(pytest.mark.skip(reason="no cluster: make test-cluster KUBECONFIG=FILE"))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return render(tmp_path_factory.mktemp("rendered") / "deploy")


@pytest.fixture(scope="session")
def api() -> KubernetesApi:
    """As whoever the kubeconfig names."""
    found = KubernetesApi(config.new_client_from_config(os.environ[KUBECONFIG]))
    for kind, who in ((SPARK, "the Spark operator"), (SERVICES, "KServe")):
        try:
            found.send("GET", f"/apis/{kind.group}/{kind.version}/{kind.plural}", limit=1)
        except RefusedError as error:
            pytest.exit(f"{kind.plural}.{kind.group}: {error}; install {who}, or its CRDs", 2)
    return found


@pytest.fixture(scope="session")
def box(api: KubernetesApi, rendered: Rendered) -> Iterator[Sandbox]:
    """The namespaces, and all of ``deploy/`` in them."""
    base = os.environ.get(NAMESPACE) or f"provender-test-{secrets.token_hex(3)}"
    namespaces = [each["metadata"]["name"] for each in rendered.of_kind("Namespace")]
    with sandbox(api, base, [*namespaces, "kubeflow"]) as made:
        for document in rendered.every_document:
            if document["kind"] != "Namespace":
                made.apply(document)
        yield made


@pytest.fixture(scope="session")
def operators(api: KubernetesApi) -> Operators:
    """Which of the operators runs there."""
    return Operators.of(api)


@pytest.fixture
def spark_namespace(box: Sandbox) -> str:
    return box.place("provender-spark")


@pytest.fixture
def models_namespace(box: Sandbox) -> str:
    return box.place("provender-models")


@pytest.fixture(scope="session")
def airflow(box: Sandbox) -> KubernetesApi:
    """What Airflow's workers may do, and no more."""
    return box.as_account("provender", "airflow")


@pytest.fixture(scope="session")
def repo(rendered: Rendered) -> Path:
    """The cluster's settings."""
    return rendered.folder / "kubernetes"

"""A real server answers as the tests' stand-ins do (``tests/kubernetes_answers.json``).

Where a newer server answers otherwise, the recorded answer is what has to change, and the client with it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from provender.clients.kubernetes_api import APPLY_PATCH, JSON, MERGE_PATCH, KubernetesApi, RefusedError
from tests.cluster.sandbox import SERVICES, SPARK, Document, Sandbox
from tests.kubernetes_answers import ANSWERS, message

pytestmark = pytest.mark.cluster

SERVICE: Document = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "answers"},
    "spec": {"predictor": {"minReplicas": 1, "containers": [{"name": "kserve-container", "image": "a:1"}]}},
}
APPLICATION: Document = {
    "apiVersion": "sparkoperator.k8s.io/v1beta2",
    "kind": "SparkApplication",
    "metadata": {"name": "answers"},
    "spec": {
        "type": "Python",
        "mode": "cluster",
        "sparkVersion": "4.1.1",
        "mainApplicationFile": "local:///a.py",
        "driver": {},
        "executor": {},
        "suspend": True,
    },
}
FORCED = {"fieldManager": "provender", "force": "true", "fieldValidation": "Strict"}
STRICT = {"fieldValidation": "Strict"}


def refused(name: str, api: KubernetesApi, /, *request: Any, query: dict[str, str], **values: str) -> None:
    """Asks what is refused, and compares with the record."""
    with pytest.raises(RefusedError) as raised:
        api.send(*request, **query)
    assert raised.value.status == ANSWERS[name]["status"]
    assert message(name, **values) in raised.value.message


def status_of(api: KubernetesApi, *request: Any, query: dict[str, str]) -> int:
    """The status of a success, which the client does not tell."""
    method, path, body, content_type = request
    return int(api._once(method, path, body, content_type, query).status)


def changed(document: Document, *path: str, value: object) -> Document:
    found = copy.deepcopy(document)
    inner = found
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return found


@pytest.fixture
def service(api: KubernetesApi, models_namespace: str) -> Iterator[str]:
    path = SERVICES.path(models_namespace, "answers")
    yield path
    try:
        api.send("DELETE", path)
    except RefusedError as error:
        assert error.is_absent, error


@pytest.fixture
def application(api: KubernetesApi, spark_namespace: str) -> Iterator[str]:
    status = status_of(api, "POST", SPARK.path(spark_namespace), APPLICATION, JSON, query=STRICT)
    assert status == ANSWERS["create"]["status"]
    path = SPARK.path(spark_namespace, "answers")
    yield path
    api.send("DELETE", path)


def test_an_apply(api: KubernetesApi, service: str) -> None:
    for name in ("apply creates", "apply changes"):
        status = status_of(api, "PATCH", service, SERVICE, APPLY_PATCH, query=FORCED)
        assert status == ANSWERS[name]["status"]
    at = ("spec", "predictor", "minReplicas")
    refused(
        "apply of a field of another manager",
        *(api, "PATCH", service, changed(SERVICE, *at, value=3), APPLY_PATCH),
        query={"fieldManager": "another"},
        manager="provender",
        field=".spec.predictor.minReplicas",
    )


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("apply of an unknown field", "canaryTraficPercent", 10),
        ("apply of a wrong type", "minReplicas", "one"),
    ],
)
def test_an_apply_that_does_not_fit_the_schema_may_not_pass(
    api: KubernetesApi, service: str, name: str, field: str, value: object
) -> None:
    document = changed(SERVICE, "spec", "predictor", field, value=value)
    at = f".spec.predictor.{field}"
    refused(name, api, "PATCH", service, document, APPLY_PATCH, query=FORCED, name="answers", field=at)
    with pytest.raises(RefusedError) as raised:
        api.send("PATCH", service, document, APPLY_PATCH, **FORCED)
    assert not raised.value.may_pass


def test_a_create(api: KubernetesApi, application: str, spark_namespace: str) -> None:
    path, resource = SPARK.path(spark_namespace), "sparkapplications.sparkoperator.k8s.io"
    refused(
        "create of one that is there",
        *(api, "POST", path, APPLICATION, JSON),
        query=STRICT,
        resource=resource,
        name="answers",
    )
    other = changed(APPLICATION, "metadata", "name", value="other")
    refused(
        "create with an unknown field",
        *(api, "POST", path, changed(other, "spec", "driver", "memoryy", value="2g"), JSON),
        query=STRICT,
        fields='unknown field "spec.driver.memoryy"',
    )
    refused(
        "create with a value out of range",
        *(api, "POST", path, changed(other, "spec", "driver", "cores", value=0), JSON),
        query=STRICT,
        name="other",
    )
    refused(
        "create in a namespace that is not there",
        *(api, "POST", SPARK.path(f"{spark_namespace}-none"), other, JSON),
        query=STRICT,
        namespace=f"{spark_namespace}-none",
    )


def test_what_is_there_and_what_is_not(api: KubernetesApi, application: str, spark_namespace: str) -> None:
    resource = "sparkapplications.sparkoperator.k8s.io"
    labels = {"metadata": {"labels": {"a": "b"}}}
    assert status_of(api, "PATCH", application, labels, MERGE_PATCH, query={}) == ANSWERS["patch"]["status"]
    none = SPARK.path(spark_namespace, "none")
    refused("read of one that is not there", api, "GET", none, query={}, resource=resource, name="none")
    uid = api.send("GET", application)["metadata"]["uid"]
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "uid-2"}}
    refused(
        "delete of another uid",
        *(api, "DELETE", application, options, JSON),
        query={},
        name="answers",
        wanted="uid-2",
        uid=uid,
    )


def test_who_may_not(api: KubernetesApi, box: Sandbox, models_namespace: str) -> None:
    refused(
        "not allowed",
        *(box.as_account("provender-models", "serving"), "GET", SERVICES.path(models_namespace)),
        query={},
        resource="inferenceservices.serving.kserve.io",
        user=f"system:serviceaccount:{models_namespace}:serving",
        verb="list",
        plural="inferenceservices",
        group="serving.kserve.io",
        namespace=models_namespace,
    )
    configuration = Configuration()
    for attribute in ("host", "ssl_ca_cert", "verify_ssl"):
        setattr(configuration, attribute, getattr(api.client.configuration, attribute))
    configuration.api_key = {"authorization": "Bearer nonsense"}
    nobody = KubernetesApi(ApiClient(configuration))
    refused("a wrong token", nobody, "GET", SERVICES.path(models_namespace), query={})

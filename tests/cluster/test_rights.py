"""What each account may do, asked with its own token, is what its work needs and nothing else."""

from __future__ import annotations

import pytest

from provender.clients.kubernetes_api import KubernetesApi, RefusedError
from provender_airflow.kubernetes_calls import SERVING_CALLS, SPARK_CALLS
from tests.cluster.sandbox import KINDS, SERVICES, SPARK, Sandbox

pytestmark = pytest.mark.cluster

Right = tuple[str, str, str, str]
"""Namespace of ``deploy/``, API group, resource, verb."""
_POD_VERBS = ("create", "get", "list", "watch", "delete", "deletecollection")
_DRIVER: set[tuple[str, str, str]] = {
    *(("", "pods", verb) for verb in _POD_VERBS),
    *(("", part, verb) for part in ("services", "configmaps") for verb in _POD_VERBS if verb != "watch"),
    *(("", "persistentvolumeclaims", verb) for verb in ("list", "deletecollection")),
}
RIGHTS: dict[tuple[str, str], set[Right]] = {
    ("provender", "airflow"): {
        *(("provender-spark", *call) for call in SPARK_CALLS),
        *(("provender-models", *call) for call in SERVING_CALLS),
    },
    ("provender", "airflow-web"): set(),
    ("provender", "airflow-core"): set(),
    ("provender", "feast"): set(),
    ("provender-spark", "spark"): {("provender-spark", *call) for call in _DRIVER},
    ("provender-models", "serving"): set(),
}
NAMESPACES = ("provender", "provender-spark", "provender-models", "team-example")
RESOURCES = (
    ("", "pods"),
    ("", "pods/log"),
    ("", "pods/exec"),
    ("", "secrets"),
    ("", "services"),
    ("", "configmaps"),
    ("", "persistentvolumeclaims"),
    ("", "serviceaccounts/token"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("sparkoperator.k8s.io", "sparkapplications"),
    ("sparkoperator.k8s.io", "sparkapplications/status"),
    ("serving.kserve.io", "inferenceservices"),
    ("serving.kserve.io", "inferenceservices/status"),
)
VERBS = ("create", "get", "list", "watch", "update", "patch", "delete", "deletecollection")


def is_allowed(account: KubernetesApi, namespace: str, group: str, resource: str, verb: str) -> bool:
    """What the server's authorizer says to the account itself."""
    name, _, part = resource.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": name, "subresource": part}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = account.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize("who", sorted(RIGHTS), ids="/".join)
def test_an_account_may_do_its_work_and_nothing_else(box: Sandbox, who: tuple[str, str]) -> None:
    account, found = box.as_account(*who), set()
    for namespace in NAMESPACES:
        for group, resource in RESOURCES:
            for verb in VERBS:
                if is_allowed(account, box.place(namespace), group, resource, verb):
                    found.add((namespace, group, resource, verb))
    assert found == RIGHTS[who]


def test_what_the_review_says_the_server_does(box: Sandbox, airflow: KubernetesApi) -> None:
    spark, models = box.place("provender-spark"), box.place("provender-models")
    assert airflow.send("GET", SPARK.path(spark))["kind"] == "SparkApplicationList"
    for path in (
        SPARK.path(models),
        SERVICES.path(models),  # list
        KINDS["Secret"].path(spark, "feast-redis"),
        KINDS["Secret"].path(box.place("provender"), "postgres"),
    ):
        with pytest.raises(RefusedError) as raised:
            airflow.send("GET", path)
        assert raised.value.status == 403, path

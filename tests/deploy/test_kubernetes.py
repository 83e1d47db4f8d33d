"""Every name in the manifests and in the charts' values is the name of something."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.settings import load_settings
from tests.deploy.rendering import PROJECT, Document, Rendered
from tests.engine import CHECKOUT

CHARTS = sorted(path.stem for path in (CHECKOUT / "deploy/values").glob("*.yaml"))
CALLS = runpy.run_path(str(CHECKOUT / "plugins/provender_airflow/kubernetes_calls.py"))
"""What the backends call, without Airflow's imports."""
IMAGES = {"airflow", "spark", "training", "serving"}
CHART_SERVICES = {
    ("provender", "redis-master"),
    ("provender", "postgres"),
    ("provender", "prometheus-server"),
}
"""Made by the charts of redis (release ``redis``), postgresql (``fullnameOverride``) and prometheus."""


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def pod_of(document: Document) -> dict[str, Any]:
    pod: dict[str, Any] = document["spec"]["template"]["spec"]
    return pod


def test_kustomize_itself_renders_the_same_objects(rendered: Rendered) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", rendered.folder / "kubernetes"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    def names(documents: list[Document]) -> set[tuple[str, str, str]]:
        return {
            (
                each["kind"],
                each["metadata"].get("namespace", ""),
                re.sub(r"^(statsd-mapping)-\w+$", r"\1", each["metadata"]["name"]),
            )
            for each in documents
        }

    assert names(list(yaml.safe_load_all(done.stdout))) == names(rendered.documents)


def test_no_placeholder_is_left(rendered: Rendered) -> None:
    for path in rendered.folder.rglob("*"):
        if path.is_file():
            assert not re.search(r"PROJECT_ID|(?<!_)REGISTRY\b", path.read_text()), path


def test_every_namespace_is_made(rendered: Rendered) -> None:
    made = {each["metadata"]["name"] for each in rendered.of_kind("Namespace")} | {"kubeflow"}
    named = {each["metadata"].get("namespace") for each in rendered.every_document} - {None}
    named |= set(rendered.values("spark-operator")["spark"]["jobNamespaces"])
    assert named - made == set()


def test_no_object_is_there_twice(rendered: Rendered) -> None:
    names = [
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in rendered.every_document
    ]
    assert len(names) == len(set(names))


def test_every_service_account_that_is_named_exists(rendered: Rendered) -> None:
    accounts = rendered.named("ServiceAccount")
    named = {
        (each["metadata"]["namespace"], pod_of(each)["serviceAccountName"])
        for each in rendered.of_kind("Deployment")
        if "serviceAccountName" in pod_of(each)
    }
    for binding in rendered.of_kind("RoleBinding"):
        named |= {(subject["namespace"], subject["name"]) for subject in binding["subjects"]}
    airflow = [
        each["serviceAccount"] for each in walk(rendered.values("airflow")) if "serviceAccount" in each
    ]
    assert [each for each in airflow if each["create"]] == []
    named |= {("provender", each["name"]) for each in airflow}
    named.add(("provender-spark", rendered.values("spark-operator")["spark"]["serviceAccount"]["name"]))
    assert named - accounts == set()
    assert accounts - named == {("provender-models", "serving")}  # the settings name it


def test_who_acts_for_google_is_what_the_setup_binds(rendered: Rendered) -> None:
    setup = (CHECKOUT / "deploy/gcp/setup.sh").read_text()
    for account in rendered.of_kind("ServiceAccount"):
        annotations = account["metadata"].get("annotations", {})
        who = f"{account['metadata']['namespace']}/{account['metadata']['name']}"
        is_bound = re.search(rf"[ (]{who}[ ;)]", setup) is not None
        assert bool(annotations) == is_bound, who
        for google in annotations.values():
            assert re.fullmatch(rf"provender(-reader)?@{PROJECT}\.iam\.gserviceaccount\.com", google)


Secrets = dict[tuple[str, str], set[str]]


def test_every_secret_that_a_manifest_or_a_chart_reads_is_made_with_its_key(
    rendered: Rendered, all_secrets: Secrets
) -> None:
    read = [
        (each["metadata"]["namespace"], ref["name"], ref["key"])
        for each in rendered.documents
        for node in walk(each)
        if (ref := node.get("secretKeyRef"))
    ]
    read += [
        ("provender", ref["name"], ref["key"])
        for chart in CHARTS
        for node in walk(rendered.values(chart))
        if isinstance(ref := node.get("secretKeyRef"), dict)
    ]
    assert len(read) >= 6
    assert [each for each in read if each[2] not in all_secrets.get(each[:2], set())] == []


@pytest.mark.parametrize(
    ("chart", "path", "keys"),
    [
        ("airflow", "data.metadataSecretName", {"connection"}),
        ("airflow", "data.brokerUrlSecretName", {"connection"}),
        ("airflow", "fernetKeySecretName", {"fernet-key"}),
        ("airflow", "apiSecretKeySecretName", {"api-secret-key"}),
        ("airflow", "jwtSecretName", {"jwt-secret"}),
        ("redis", "auth.existingSecret", {"redis-password"}),
        ("redis", "tls.existingSecret", {"ca.crt", "tls.crt", "tls.key"}),
        ("postgresql", "auth.existingSecret", {"postgres-password"}),
        ("postgresql", "tls.certificatesSecret", {"tls.crt", "tls.key"}),
        ("postgresql", "primary.extraEnvVarsSecret", {"AIRFLOW_DB_PASSWORD", "FEAST_DB_PASSWORD"}),
        ("grafana", "admin.existingSecret", {"admin-user", "admin-password"}),
    ],
)
def test_a_secret_that_a_chart_asks_for_has_the_keys_the_chart_reads(
    rendered: Rendered, all_secrets: Secrets, chart: str, path: str, keys: set[str]
) -> None:
    name: Any = rendered.values(chart)
    for step in path.split("."):
        name = name[step]
    assert keys <= all_secrets[("provender", name)]


def test_pull_secrets_are_made_where_they_are_named(rendered: Rendered, all_secrets: Secrets) -> None:
    for account in rendered.of_kind("ServiceAccount"):
        for secret in account["imagePullSecrets"]:
            assert (account["metadata"]["namespace"], secret["name"]) in all_secrets
    assert all(
        ("provender", each["name"]) in all_secrets for each in rendered.values("airflow")["imagePullSecrets"]
    )


def test_no_secret_has_a_value_in_a_manifest_or_in_values(rendered: Rendered) -> None:
    assert rendered.of_kind("Secret") == []
    for chart in CHARTS:
        for node in walk(rendered.values(chart)):
            words = {"password", "postgresPassword", "token", "fernetKey", "jwtSecret", "apiSecretKey"}
            assert words & node.keys() == set(), chart


def test_config_maps_that_are_mounted_exist(rendered: Rendered) -> None:
    maps = rendered.named("ConfigMap")
    named = {
        (each["metadata"]["namespace"], volume["configMap"]["name"])
        for each in rendered.of_kind("Deployment")
        for volume in pod_of(each).get("volumes", [])
        if "configMap" in volume
    }
    mounts = rendered.values("prometheus")["server"]["extraConfigmapMounts"]
    named |= {("provender", each["configMap"]) for each in mounts}
    named.add(("provender", rendered.values("postgresql")["primary"]["initdb"]["scriptsConfigMap"]))
    assert named - maps == set()
    assert maps - named == {("provender", "grafana-dashboard-provender")}  # found by its label


def test_files_are_where_the_processes_look_for_them(rendered: Rendered) -> None:
    (mount,) = rendered.values("prometheus")["server"]["extraConfigmapMounts"]
    (rules,) = rendered.values("prometheus")["serverFiles"]["prometheus.yml"]["rule_files"]
    data = {each["metadata"]["name"]: each["data"] for each in rendered.of_kind("ConfigMap")}
    assert rules.removeprefix(f"{mount['mountPath']}/") in data[mount["configMap"]]
    exporter = next(
        each for each in rendered.of_kind("Deployment") if each["metadata"]["name"] == "statsd-exporter"
    )
    (container,) = pod_of(exporter)["containers"]
    mapping = container["args"][0].partition("=")[2]
    folder = container["volumeMounts"][0]["mountPath"]
    assert mapping.removeprefix(f"{folder}/") in data["statsd-mapping"]


def test_services_select_pods_and_ports_that_are_there(rendered: Rendered) -> None:
    pods = {each["metadata"]["name"]: each["spec"]["template"] for each in rendered.of_kind("Deployment")}
    for service in rendered.of_kind("Service"):
        if service["spec"].get("type") == "ExternalName":
            continue
        wanted = service["spec"]["selector"].items()
        (template,) = [each for each in pods.values() if wanted <= each["metadata"]["labels"].items()]
        (container,) = template["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


def test_probes_ask_ports_that_are_there(rendered: Rendered) -> None:
    for deployment in rendered.of_kind("Deployment"):
        for container in pod_of(deployment)["containers"]:
            names = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for how in (container.get(probe) or {}).values():
                    assert not isinstance(how, dict) or how["port"] in names


def test_a_team_reaches_services_that_exist(rendered: Rendered) -> None:
    services = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in rendered.of_kind("Service")
        if "selector" in each["spec"]
    }
    outside = [each for each in rendered.of_kind("Service") if each["spec"].get("type") == "ExternalName"]
    assert {each["metadata"]["name"] for each in outside} == {"redis", "feast-registry", "feast-features"}
    for service in outside:
        name, namespace, *rest = service["spec"]["externalName"].split(".")
        assert (namespace, name) in services | CHART_SERVICES
        assert rest == ["svc", "cluster", "local"]


def calls_of(role: Document) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_airflow_may_do_what_the_backends_call_and_nothing_else(rendered: Rendered) -> None:
    roles = {each["metadata"]["name"]: each for each in rendered.of_kind("Role")}
    granted = {
        binding["metadata"]["namespace"]: calls_of(roles[binding["roleRef"]["name"]])
        for binding in rendered.of_kind("RoleBinding")
        if {"kind": "ServiceAccount", "name": "airflow", "namespace": "provender"} in binding["subjects"]
    }
    assert granted == {
        "provender-spark": set(CALLS["SPARK_CALLS"]),
        "provender-models": set(CALLS["SERVING_CALLS"]),
    }


def test_no_right_is_a_wildcard_or_of_the_whole_cluster(rendered: Rendered) -> None:
    assert rendered.of_kind("ClusterRole") + rendered.of_kind("ClusterRoleBinding") == []
    for role in rendered.of_kind("Role"):
        assert not any("*" in word for call in calls_of(role) for word in call)
        assert not any(resource == "secrets" for _, resource, _ in calls_of(role))


def test_every_role_is_bound_in_its_own_namespace(rendered: Rendered) -> None:
    bound = {
        (each["metadata"]["namespace"], each["roleRef"]["name"]) for each in rendered.of_kind("RoleBinding")
    }
    assert bound == rendered.named("Role")


def test_who_calls_nobody_has_no_token(rendered: Rendered) -> None:
    accounts = {each["metadata"]["name"]: each for each in rendered.of_kind("ServiceAccount")}
    without = {name for name, each in accounts.items() if each.get("automountServiceAccountToken") is False}
    assert without == {"airflow-core", "feast"}


def test_the_platform_lets_in_nobody_but_those_who_are_named(rendered: Rendered) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in rendered.of_kind("NetworkPolicy")}
    assert policies["platform"]["podSelector"] == {}
    assert policies["platform"]["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert all(rule.get("from") for spec in policies.values() for rule in spec["ingress"])
    assert rendered.values("redis")["networkPolicy"] == {"enabled": False}
    assert rendered.values("postgresql")["primary"]["networkPolicy"] == {"enabled": False}


def test_features_are_open_on_the_ports_of_redis_registry_and_feature_server(rendered: Rendered) -> None:
    readers = next(e for e in rendered.of_kind("NetworkPolicy") if e["metadata"]["name"] == "feature-readers")
    (rule,) = readers["spec"]["ingress"]
    team = [each for each in rendered.of_kind("Service") if each["metadata"]["namespace"] == "team-example"]
    assert {port["port"] for port in rule["ports"]} == {each["spec"]["ports"][0]["port"] for each in team}
    labels = [namespace["metadata"].get("labels", {}) for namespace in rendered.of_kind("Namespace")]
    let_in = [each["namespaceSelector"]["matchLabels"] for each in rule["from"]]
    for wanted in let_in:
        assert any(wanted.items() <= each.items() for each in labels), wanted


def test_the_settings_name_what_the_manifests_make(
    rendered: Rendered, all_secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENDER_REDIS", "redis:6379")
    settings = load_settings(rendered.folder / "kubernetes")
    accounts = rendered.named("ServiceAccount")
    spark, serving, kubeflow = settings.spark.kubernetes, settings.serving, settings.kubeflow
    assert (spark.namespace, spark.service_account) in accounts
    assert (serving.namespace, serving.service_account) in accounts
    assert "connection_string" in all_secrets[(spark.namespace, spark.redis_secret)]
    assert "url" in all_secrets[(spark.namespace, spark.registry_secret)]
    assert "connection_string" in all_secrets[(serving.namespace, serving.redis_secret)]
    claims = {
        each["metadata"]["name"]
        for each in rendered.every_document
        if each["kind"] == "PersistentVolumeClaim"
    }
    assert kubeflow.workspace_claim in claims
    assert settings.storage_root == f"gs://{PROJECT}-provender/storage"
    host, _, port = str(settings.statsd).partition(":")
    services = {
        f"{e['metadata']['name']}.{e['metadata']['namespace']}.svc.cluster.local": e["spec"]["ports"]
        for e in rendered.of_kind("Service")
    }
    assert int(port) in {each["port"] for each in services[host] if each.get("protocol") == "UDP"}


def test_airflow_sends_its_metrics_to_the_exporter(rendered: Rendered) -> None:
    metrics = rendered.values("airflow")["config"]["metrics"]
    assert ("provender", metrics["statsd_host"]) in rendered.named("Service")
    assert metrics["statsd_port"] == 8125


def test_images_are_those_that_are_built_here(rendered: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENDER_REDIS", "redis:6379")
    settings = load_settings(rendered.folder / "kubernetes")
    named = [settings.spark.kubernetes.image, settings.kubeflow.image, settings.serving.image]
    named += [c["image"] for d in rendered.of_kind("Deployment") for c in pod_of(d)["containers"]]
    values = rendered.values("airflow")
    named.append(f"{values['defaultAirflowRepository']}:{values['defaultAirflowTag']}")
    ours = {each for each in named if PROJECT in each}
    registry = f"europe-west1-docker.pkg.dev/{PROJECT}/provender"
    assert ours == {f"{registry}/{name}:0.1.0" for name in IMAGES}
    assert {path.parent.name for path in (CHECKOUT / "deploy/images").glob("*/Dockerfile")} == IMAGES


def test_containers_are_bounded_and_unprivileged(rendered: Rendered) -> None:
    for deployment in rendered.of_kind("Deployment"):
        assert pod_of(deployment)["securityContext"]["runAsNonRoot"] is True
        for container in pod_of(deployment)["containers"]:
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["image"].rpartition(":")[2] not in ("", "latest")


def test_every_part_of_airflow_is_bounded(rendered: Rendered) -> None:
    values = rendered.values("airflow")
    parts = {part: values[part] for part in ("apiServer", "scheduler", "dagProcessor", "triggerer")}
    for part, given in {**parts, "workers": values["workers"]["celery"]}.items():
        assert given["resources"]["limits"]["memory"], part


def test_each_charts_version_is_pinned_and_the_guide_installs_it(rendered: Rendered) -> None:
    guide = (CHECKOUT / "docs/deploy-gcp.md").read_text()
    for chart in CHARTS:
        head = (CHECKOUT / f"deploy/values/{chart}.yaml").read_text().split("\n\n")[0]
        (version,) = re.findall(r"--version (\S+)", head)
        assert f"{version}" in head.split("helm upgrade")[0]
        assert re.search(rf"/{chart} +--version {re.escape(version)} ", guide), chart


def pods_of_stores(rendered: Rendered) -> dict[str, dict[str, Any]]:
    return {
        each["metadata"]["name"]: pod_of(each) for each in rendered.stores if each["kind"] == "StatefulSet"
    }


def test_stores_have_the_addresses_secrets_and_labels_of_their_charts(
    rendered: Rendered, all_secrets: Secrets
) -> None:
    services = {each["metadata"]["name"]: each for each in rendered.stores if each["kind"] == "Service"}
    assert {("provender", name) for name in services} <= CHART_SERVICES
    pods = pods_of_stores(rendered)
    assert pods.keys() == services.keys()
    for store in rendered.stores:
        if store["kind"] != "StatefulSet":
            continue
        labels = store["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] in CHART_PODS
        service = services[store["spec"]["serviceName"]]
        assert service["spec"]["selector"] == store["spec"]["selector"]["matchLabels"] == labels
    refs = [ref for pod in pods.values() for node in walk(pod) if (ref := node.get("secretKeyRef"))]
    assert {(ref["name"], ref["key"]) for ref in refs} == {
        ("postgres", "postgres-password"),
        ("redis", "redis-password"),
    }
    for pod in pods.values():
        for volume in pod["volumes"]:
            if "secret" in volume:
                keys = all_secrets["provender", volume["secret"]["secretName"]]
                assert {"tls.crt", "tls.key"} <= keys
    (users,) = [node["secretRef"]["name"] for node in walk(pods["postgres"]) if "secretRef" in node]
    assert all_secrets["provender", users] == {"AIRFLOW_DB_PASSWORD", "FEAST_DB_PASSWORD"}
    (init,) = [node["configMap"]["name"] for node in walk(pods["postgres"]) if "configMap" in node]
    assert ("provender", init) in rendered.named("ConfigMap")


def test_stores_are_bounded_and_unprivileged(rendered: Rendered) -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())["services"]
    for name, pod in pods_of_stores(rendered).items():
        (container,) = pod["containers"]
        assert container["image"] == compose[name.removesuffix("-master")]["image"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["resources"]["limits"]["memory"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        # A password in a command's text would be in the process list; a variable of a shell is not.
        assert "requirepass" not in str(
            container["command"][:2] if "command" in container else container["args"]
        )


def test_airflow_is_the_locked_one(rendered: Rendered) -> None:
    locked = re.search(r'name = "apache-airflow"\nversion = "([^"]+)"', (CHECKOUT / "uv.lock").read_text())
    assert locked is not None
    assert rendered.values("airflow")["airflowVersion"] == locked.group(1)


CHART_PODS = {"postgresql", "redis"}
"""What the charts of postgresql and redis put into ``app.kubernetes.io/name`` of their pods."""


def test_policies_select_pods_that_there_are(rendered: Rendered) -> None:
    made = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in _templates(rendered)} | CHART_PODS
    for policy in rendered.of_kind("NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        named = set(selector.get("matchLabels", {}).values())
        named |= {value for each in selector.get("matchExpressions", []) for value in each["values"]}
        assert named <= made, policy["metadata"]["name"]


def _templates(rendered: Rendered) -> list[Document]:
    return [each["spec"]["template"] for each in rendered.of_kind("Deployment")]


def test_the_addresses_in_the_secrets_are_those_that_the_charts_make(rendered: Rendered) -> None:
    script = (CHECKOUT / "deploy/gcp/secrets.sh").read_text()
    addresses = dict(re.findall(r"^(POSTGRES|REDIS)=(\S+)$", script, re.MULTILINE))
    postgres, redis = rendered.values("postgresql"), rendered.values("redis")
    assert addresses["POSTGRES"] == f"{postgres['fullnameOverride']}.provender.svc.cluster.local:5432"
    assert redis["architecture"] == "standalone" and "fullnameOverride" not in redis
    assert addresses["REDIS"] == "redis-master.provender.svc.cluster.local:6379"
    # Both have certificates for these names, and the clients are told to check them.
    certificates = (CHECKOUT / "deploy/gcp/certificates.sh").read_text()
    assert all(host in certificates for host in ("redis-master", postgres["fullnameOverride"]))
    assert postgres["tls"]["enabled"] and redis["tls"]["enabled"] and "ssl=true" in script


def test_releases_are_installed_by_the_names_that_others_call_them(rendered: Rendered) -> None:
    guide = (CHECKOUT / "docs/deploy-gcp.md").read_text()
    installed = dict(re.findall(r"helm upgrade --install (\S+) +(\S+)", guide))
    assert {Path(chart).name for chart in installed.values()} == set(CHARTS)
    assert "redis" in installed and "prometheus" in installed  # redis-master, prometheus-server
    for chart in CHARTS:
        (release,) = [name for name, each in installed.items() if Path(each).name == chart]
        head = (CHECKOUT / f"deploy/values/{chart}.yaml").read_text().split("\n\n")[0]
        assert f"--install {release} " in head
    (source,) = rendered.values("grafana")["datasources"]["datasources.yaml"]["datasources"]
    assert source["url"] == "http://prometheus-server"


def test_the_dashboard_is_found_by_the_label_that_grafana_looks_for(rendered: Rendered) -> None:
    looks_for = rendered.values("grafana")["sidecar"]["dashboards"]
    plan = yaml.safe_load((rendered.folder / "monitoring/kustomization.yaml").read_text())
    (dashboard,) = [m for m in plan["configMapGenerator"] if m["name"].startswith("grafana-dashboard")]
    assert dashboard["options"]["labels"] == {looks_for["label"]: looks_for["labelValue"]}
    uid = rendered.values("grafana")["datasources"]["datasources.yaml"]["datasources"][0]["uid"]
    (text,) = [path.read_text() for path in (CHECKOUT / "deploy/monitoring/grafana/dashboards").iterdir()]
    assert set(re.findall(r'"type": "prometheus",\s*"uid": "([^"]+)"', text)) <= {uid, "${datasource}"}


def test_spark_runs_where_the_operator_looks(rendered: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENDER_REDIS", "redis:6379")
    ours, operator = (
        load_settings(rendered.folder / "kubernetes").spark.kubernetes,
        rendered.values("spark-operator"),
    )
    assert ours.namespace in operator["spark"]["jobNamespaces"]
    assert ours.service_account == operator["spark"]["serviceAccount"]["name"]
    assert operator["webhook"]["enable"] is True

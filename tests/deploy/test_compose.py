"""docker-compose.yaml: every name in it is the name of something, and nothing has a password that others know."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from provender.cli.main import COMMANDS
from provender.settings import load_settings
from tests.engine import CHECKOUT

COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EACH = pytest.mark.parametrize("name", SERVICES)
LISTENING = {
    "postgres": {5432},
    "redis": {6379},
    "fake-gcs": {4443},
    "airflow-apiserver": {8080},
    "airflow-worker": {8085},
    "statsd-exporter": {8125, 9102},
    "prometheus": {9090},
    "grafana": {3000},
}
"""Ports on which each answers."""


def words(command: Any) -> list[str]:
    return list(map(str, command)) if isinstance(command, list) else str(command).split()


@EACH
def test_an_image_is_pinned(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+\.\d+|\d+\.\d+-", tag), tag


@EACH
def test_a_service_is_bounded_and_says_how_it_is(name: str) -> None:
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert "test" in service["healthcheck"] or name == "airflow-init"


def test_images_of_ours_have_the_versions_of_the_project() -> None:
    from provender import __version__

    ours = {service["image"] for service in SERVICES.values() if "build" in service}
    assert ours == {f"provender-airflow-local:{__version__}"}


@EACH
def test_what_is_built_has_a_recipe_with_that_stage(name: str) -> None:
    build = SERVICES[name].get("build")
    if build:
        recipe = (CHECKOUT / build["dockerfile"]).read_text()
        assert f" AS {build['target']}\n" in recipe
        for argument, value in build["args"].items():
            assert re.search(rf"^ARG {argument}=", recipe, re.MULTILINE)
            assert (CHECKOUT / value).is_file()


def test_ports_are_published_once_and_to_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    hosts = [port.split(":") for port in published]
    assert all(host == "127.0.0.1" for host, _, _ in hosts)
    assert len({outside for _, outside, _ in hosts}) == len(hosts) == 3
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert int(port.rpartition(":")[2]) in LISTENING[name]


def test_volumes_are_declared_and_files_are_there() -> None:
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert (CHECKOUT / source).exists(), source
                assert mode == ["ro"], volume
            else:
                used.add(source)
            assert target.startswith("/")
    assert used == COMPOSE["volumes"].keys()


def test_every_password_has_to_be_given() -> None:
    text = (CHECKOUT / "docker-compose.yaml").read_text()
    named = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert set(re.findall(r"(?<!\$)\$\{(\w+):\?", text)) == named
    example = (CHECKOUT / "deploy/compose/env.example").read_text()
    lines = [line for line in example.splitlines() if line and not line.startswith("#")]
    assert {line.removesuffix("=") for line in lines} == named
    assert all(line.endswith("=") for line in lines)


@EACH
def test_no_password_is_an_argument(name: str) -> None:
    """Compose puts ``${X}`` into the command itself; ``$$X`` is the shell's, in the container."""
    command = " ".join(words(SERVICES[name].get("command", "")))
    assert not re.search(r"(?<!\$)\$\{", command)
    check = " ".join(words(SERVICES[name]["healthcheck"].get("test", "")))
    assert not re.search(r"(?<!\$)\$\{|--pass|-a ", check)


def test_what_is_waited_for_can_come() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]


def addresses() -> set[tuple[str, int]]:
    """(host, port) of all that a service or its files ask for by name."""
    texts = [str(value) for each in SERVICES.values() for value in each.get("environment", {}).values()]
    found = set()
    for text in texts:
        url = urlsplit(re.sub(r"\$\{[^}]*\}", "x", text.removeprefix("db+")))
        if url.hostname and "://" in text:
            found.add((url.hostname, url.port or {"postgresql": 5432}[url.scheme.split("+")[0]]))
    environment = SERVICES["airflow-worker"]["environment"]
    found.add(
        (environment["AIRFLOW__METRICS__STATSD_HOST"], int(environment["AIRFLOW__METRICS__STATSD_PORT"]))
    )
    redis = environment["PROVENDER_REDIS"].split(",")[0].split(":")
    found.add((redis[0], int(redis[1])))
    statsd = str(load_settings(CHECKOUT / "deploy/compose").statsd).split(":")
    found.add((statsd[0], int(statsd[1])))
    prometheus = yaml.safe_load((CHECKOUT / "deploy/monitoring/prometheus.yaml").read_text())
    targets = [
        t
        for job in prometheus["scrape_configs"]
        for static in job["static_configs"]
        for t in static["targets"]
    ]
    found |= {(target.split(":")[0], int(target.split(":")[1])) for target in targets}
    source = CHECKOUT / "deploy/monitoring/grafana/provisioning/datasources/prometheus.yaml"
    url = urlsplit(yaml.safe_load(source.read_text())["datasources"][0]["url"])
    return found | {(str(url.hostname), int(url.port or 0))}


def test_addresses_are_those_of_services_that_listen_there() -> None:
    found = addresses()
    assert len(found) >= 7
    assert [(host, port) for host, port in found if port not in LISTENING.get(host, set())] == []


def test_health_is_asked_where_the_service_listens() -> None:
    for name, service in SERVICES.items():
        for url in re.findall(
            r"http://127\.0\.0\.1:(\d+)", " ".join(words(service["healthcheck"].get("test", "")))
        ):
            assert int(url) in LISTENING[name], name


def test_modules_and_files_that_are_run_exist() -> None:
    commands = [" ".join(words(service.get("command", ""))) for service in SERVICES.values()]
    for module in re.findall(r"python -m (\S+)", " ".join(commands)):
        assert importlib.util.find_spec(module) is not None
    mounted = {
        v.split(":")[1] for each in SERVICES.values() for v in each.get("volumes", []) if v.startswith("./")
    }
    for path in re.findall(r"python (/\S+)", " ".join(commands)):
        assert path in mounted
    for name in re.findall(r"provender (\w+)", " ".join(commands)):
        assert name in {command.rpartition(".")[2] for command in COMMANDS}


def test_configured_options_are_airflows() -> None:
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    assert spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0]) / "config_templates/config.yml"
    known = yaml.safe_load(file.read_text())
    for variable in SERVICES["airflow-scheduler"]["environment"]:
        _, _, name = variable.partition("AIRFLOW__")
        section, _, option = name.lower().partition("__")
        # Celery's options come with its provider, which is in the images only.
        if name and section != "celery":
            assert option in known[section]["options"], variable


@pytest.mark.airflow
def test_airflow_has_the_commands() -> None:
    from airflow.cli.cli_parser import get_parser

    parser = get_parser()
    asked = [words(service.get("command", "")) for service in SERVICES.values()]
    asked += [
        words(service["healthcheck"]["test"][1:])
        for service in SERVICES.values()
        if "test" in service["healthcheck"]
    ]
    ran = [each[1:] for each in asked if each[:1] == ["airflow"]]
    assert len(ran) == 7
    for arguments in ran:
        assert parser.parse_args(arguments).func


def test_the_worker_runs_celerys_command_of_the_locked_provider() -> None:
    assert '["airflow", "celery", "worker"]' in (CHECKOUT / "deploy/compose/worker.py").read_text()
    assert 'name = "apache-airflow-providers-celery"' in (CHECKOUT / "uv.lock").read_text()
    assert 'name = "statsd"' in (CHECKOUT / "uv.lock").read_text()


def test_the_settings_are_for_these_services(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SERVICES["airflow-worker"]["environment"]
    monkeypatch.setenv("PROVENDER_REDIS", "redis:6379,password=x")
    settings = load_settings(CHECKOUT / "deploy/compose")
    text = (CHECKOUT / "deploy/compose/feature_store.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= environment.keys()
    state = {volume.split(":")[1] for volume in SERVICES["airflow-worker"]["volumes"]}
    assert str(settings.state_dir) in state
    assert settings.serving.port in LISTENING["airflow-worker"]
    assert settings.serving.listen == "0.0.0.0"
    assert settings.redis == "redis:6379,password=x"

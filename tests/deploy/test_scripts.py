"""The scripts that people run against a cluster and against Google Cloud."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from tests.deploy.commands import Commands
from tests.deploy.conftest import MARKED
from tests.engine import CHECKOUT

SCRIPTS = sorted((CHECKOUT / "deploy").glob("**/*.sh"))
PROJECT = {"PROJECT_ID": "my-project"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_a_script(script: Path) -> None:
    assert script.read_text().splitlines()[0].startswith("#!")
    shell = "sh" if "sh" in script.read_text().splitlines()[0].split("/")[-1:] else "bash"
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_secrets_are_neither_printed_nor_arguments(commands: Commands) -> None:
    done = commands.run("gcp/secrets.sh", MARKED)
    assert done.returncode == 0, done.stderr
    assert "marked-" not in done.stdout + done.stderr + commands.note("arguments")
    assert "secret provender-spark/feast-redis" in done.stdout


def test_every_secret_reaches_the_cluster(commands: Commands) -> None:
    commands.run("gcp/secrets.sh", MARKED)
    given = "".join(commands.note(f"{namespace}.{name}") for namespace, name in commands.secrets)
    assert [name for name, value in MARKED.items() if value not in given] == []
    assert commands.note("applied").count("made") == len(commands.secrets)


@pytest.mark.parametrize(
    "wrong", ["", "short", "has,comma-and-more-letters", "with space 0123456789", "slash/0123456789abc"]
)
def test_a_password_that_breaks_a_url_is_refused_before_anything_is_changed(
    commands: Commands, wrong: str
) -> None:
    done = commands.run("gcp/secrets.sh", {**MARKED, "REDIS_PASSWORD": wrong})
    assert done.returncode == 1
    assert "REDIS_PASSWORD" in done.stderr
    assert "nothing was changed" in done.stderr
    assert commands.note("arguments") == ""
    assert not wrong or wrong not in done.stderr


def test_keys_of_files_are_not_arguments_either(commands: Commands, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text('{"marked-google-key": 1}')
    done = commands.run(
        "gcp/secrets.sh", {**MARKED, "REGISTRY_KEY_FILE": str(key), "GOOGLE_KEY_FILE": str(key)}
    )
    assert done.returncode == 0, done.stderr
    assert "marked-" not in done.stdout + done.stderr + commands.note("arguments")
    assert '{"auths":{"europe-west1-docker.pkg.dev":{"auth":"' in commands.note("provender.registry-pull")


def made(commands: Commands) -> list[str]:
    return [line for line in commands.note("arguments").splitlines() if " create " in line or " mk " in line]


def test_the_second_run_of_the_setup_makes_nothing(commands: Commands) -> None:
    everything = {**PROJECT, "KUBEFLOW": "1", "DATAPROC": "1", "BIGQUERY": "1"}
    first = commands.run("gcp/setup.sh", everything)
    assert first.returncode == 0, first.stderr
    after_first = made(commands)
    second = commands.run("gcp/setup.sh", everything)
    assert second.returncode == 0, second.stderr
    assert len(after_first) == 6  # two buckets, two accounts, a registry, a data set
    assert made(commands) == after_first
    assert first.stdout == second.stdout


def roles(commands: Commands) -> set[tuple[str, str, str]]:
    """(what the role is on, member, role)."""
    found = set()
    for line in commands.note("arguments").splitlines():
        words = line.split()
        if "add-iam-policy-binding" in words and words[0] == "gcloud":
            on = words[words.index("add-iam-policy-binding") + 1]
            member = words[words.index("--member") + 1].removeprefix("serviceAccount:")
            found.add((on, member.replace(".iam.gserviceaccount.com", ""), words[words.index("--role") + 1]))
    return found


def test_roles_are_on_the_buckets_and_not_on_the_project(commands: Commands) -> None:
    assert commands.run("gcp/setup.sh", PROJECT).returncode == 0
    platform, reader = "provender@my-project", "provender-reader@my-project"
    identity = "roles/iam.workloadIdentityUser"
    accounts = {who: f"{who}.iam.gserviceaccount.com" for who in (platform, reader)}
    assert roles(commands) == {
        ("gs://my-project-provender", platform, "roles/storage.objectAdmin"),
        ("gs://my-project-provender-logs", platform, "roles/storage.objectAdmin"),
        ("gs://my-project-provender", reader, "roles/storage.objectViewer"),
        ("gs://my-project-provender-logs", reader, "roles/storage.objectViewer"),
        (accounts[platform], "my-project.svc.id.goog[provender/airflow]", identity),
        (accounts[platform], "my-project.svc.id.goog[provender-spark/spark]", identity),
        (accounts[reader], "my-project.svc.id.goog[provender/airflow-web]", identity),
        (accounts[reader], "my-project.svc.id.goog[provender-models/serving]", identity),
        ("provender", "123-compute@developer.gserviceaccount.com", "roles/artifactregistry.reader"),
    }


def test_project_wide_roles_come_only_with_what_needs_them(commands: Commands) -> None:
    assert commands.run("gcp/setup.sh", {**PROJECT, "DATAPROC": "1", "BIGQUERY": "1"}).returncode == 0
    on_project = {role for on, _, role in roles(commands) if on == "my-project"}
    assert on_project == {"roles/dataproc.editor", "roles/dataproc.worker", "roles/bigquery.jobUser"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_certificates_are_what_a_client_that_checks_names_accepts(commands: Commands, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(
        f'#!/bin/bash\nif [ "$1" = create ]; then mkdir -p {keep}/$4; for word in "$@"; do case $word in '
        f'--from-file=*) pair=${{word#--from-file=}}; cp "${{pair#*=}}" {keep}/$4/${{pair%%=*}} ;; esac; done; fi\n'
    )
    place = {"CA_FOLDER": str(tmp_path / "ca"), "TRUSTED": str(tmp_path)}
    assert commands.run("gcp/certificates.sh", place).returncode == 0
    authority = (tmp_path / "provender.crt").read_bytes()
    for _ in range(2):
        done = commands.run("gcp/certificates.sh", place)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "provender.crt").read_bytes() == authority
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o077 == 0
    for secret, host in (("redis-tls", "redis-master"), ("postgres-tls", "postgres")):
        assert _greeting(keep / secret, tmp_path / "provender.crt", f"{host}.provender.svc.cluster.local")


def _greeting(server_files: Path, authority: Path, host: str) -> bool:
    """Whether a TLS client that trusts ``authority`` and expects ``host`` takes the server for it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(server_files / "tls.crt", server_files / "tls.key")
    client = ssl.create_default_context(cafile=str(authority))
    ours, theirs = socket.socketpair()
    answering = threading.Thread(target=lambda: server.wrap_socket(theirs, server_side=True).close())
    answering.start()
    with client.wrap_socket(ours, server_hostname=host) as connected:
        version = connected.version()
    answering.join()
    return version is not None

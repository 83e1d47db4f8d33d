"""A Spark engine and feature repos for tests: one warm engine a session, a repo of one's own for each test."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.intervals import Partition
from provender.ledger import Ledger, Manifest
from provender.settings import Settings, load_settings
from provender.specs.catalog import Catalog
from provender.specs.source import Source
from provender.storage import Storage, storage_at

CHECKOUT = Path(__file__).parents[1]
JARS = CHECKOUT / ".provender" / "jars"
ENGINE_VARIABLE = "PROVENDER_TEST_ENGINE"
"""Environment variable with the address of a running engine, for tests to use instead of one of their own."""


@dataclass
class Project:
    """A feature repo in a temporary folder."""

    folder: Path
    settings: Settings

    @property
    def storage(self) -> Storage:
        return storage_at(self.settings.storage_root)

    def write_source(self, spec: dict[str, Any], **sqls: str) -> Source:
        """Writes ``sources/<name>.yaml`` and ``<stem>.sql`` files; returns the loaded source."""
        folder = self.settings.repo / "sources"
        folder.mkdir(exist_ok=True)
        for stem, text in sqls.items():
            (folder / f"{stem}.sql").write_text(text)
        (folder / f"{spec['name']}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
        return self.source(spec["name"])

    def source(self, name: str) -> Source:
        return Catalog.load(self.settings.repo).source(name)

    def drop(self, source: str, key: str, text: str | bytes) -> Path:
        """Writes the raw file ``raw/<source>/<key>.csv``."""
        path = self.folder / "raw" / source / f"{key}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def ledger(self, source: str) -> Ledger:
        return Ledger(self.storage, source)

    def materialize_with(self, engine: str) -> None:
        """From now on ``duckdb`` or ``spark`` writes to the online store, whatever the size."""
        path = self.settings.repo / "feature_store.yaml"
        document = yaml.safe_load(path.read_text())
        document["batch_engine"] = {"type": "provender.feast.engine.ProvenderEngine", "engine": engine}
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        self.settings = load_settings(path.parent)

    def run(self, source: str, *keys: str, attempt: str | None = None) -> Manifest:
        """Stages and ingests the partitions ``keys`` in one attempt."""
        from provender.ingestion.ingest import ingest
        from provender.staging import stage

        spec = self.source(source)
        partitions = [Partition.parse(spec.cadence, key) for key in keys]
        name = attempt or f"{source}-{'-'.join(keys)}"
        stage(self.settings, spec, partitions, name)
        return ingest(self.settings, source, partitions, name)


def make_project(
    folder: Path, *, spark: dict[str, Any], redis: str = "127.0.0.1:1", name: str = "test"
) -> Project:
    """A new feature repo at ``folder/feature_defs``."""
    repo = folder / "feature_defs"
    repo.mkdir(parents=True)
    document = {
        "project": name,
        "provider": "local",
        "registry": {
            "registry_type": "sql",
            "path": "sqlite:///../registry.db",
        },
        "online_store": {"type": "redis", "connection_string": redis},
        "offline_store": {"type": "provender.feast.offline_store.ProvenderOfflineStore"},
        "entity_key_serialization_version": 3,
        # Raw files are dropped and staged at once: a test that waits for them to settle says so.
        "provender": {
            "storage_root": "../storage",
            "state_dir": "../state",
            "spark": spark,
            "staging": {"settle_seconds": 0},
        },
    }
    (repo / "feature_store.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return Project(folder, load_settings(repo))


@pytest.fixture(scope="session")
def engine_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Spark Connect server of this test session's own, or the one it is told to use."""
    if url := os.environ.get(ENGINE_VARIABLE):
        yield url
        return
    from provender.spark import server

    home = make_project(
        tmp_path_factory.mktemp("engine"), spark={"jars_dir": str(JARS), "driver_memory": "2g"}
    )
    with server.in_use(home.settings) as address:
        yield address.url
    server.stop(home.settings)


@pytest.fixture
def project(tmp_path: Path, engine_url: str, request: pytest.FixtureRequest) -> Project:
    """A feature repo on the session's Spark engine (and on Redis, if the test asks for ``redis_server`` too)."""
    redis = (
        request.getfixturevalue("redis_server").address
        if "redis_server" in request.fixturenames
        else "127.0.0.1:1"
    )
    return make_project(tmp_path, spark={"remote": engine_url}, redis=redis)


@pytest.fixture
def spark(project: Project) -> Iterator[Any]:
    """A session on the engine."""
    from provender.spark.session import spark_session

    # A closed session's id cannot be used again, so every test has its own.
    with spark_session(project.settings, f"test-{secrets.token_hex(8)}") as session:
        yield session

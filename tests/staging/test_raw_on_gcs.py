"""Raw files on gs://, staged into a folder and into a bucket."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.errors import SourceNotReadyError
from provender.intervals import Partition
from provender.ledger import Kind, Manifest
from provender.settings import load_settings
from provender.staging import arrived, stage
from provender.staging.raw_file import find, passed_over
from tests.engine import Project, make_project
from tests.gcs import GcsServer
from tests.spark.readings import key_of, spec

pytestmark = pytest.mark.gcs
HEADER = "key,value,at\n"


@pytest.fixture
def bucket(gcs_server: GcsServer) -> Any:
    return gcs_server.client().bucket(gcs_server.new_bucket())


@pytest.fixture(params=["file", "gs"])
def project(tmp_path: Path, bucket: Any, request: pytest.FixtureRequest) -> Project:
    made = make_project(tmp_path, spark={})
    if request.param == "gs":
        path = made.settings.repo / "feature_store.yaml"
        document = yaml.safe_load(path.read_text())
        document["provender"]["storage_root"] = f"gs://{bucket.name}/root"
        path.write_text(yaml.safe_dump(document))
    return Project(tmp_path, load_settings(made.settings.repo))


def run(project: Project, uri: str, attempt: str = "a", **raw: Any) -> Manifest:
    sql = "SELECT key, 1 AS total, 1 AS readings FROM readings"
    source = project.write_source(spec(raw={"uri": uri, **raw}), daily=sql)
    return stage(project.settings, source, [Partition.parse(source.cadence, key_of(1))], attempt)


def staged(project: Project, manifest: Manifest) -> dict[str, bytes]:
    entry = manifest.partitions[key_of(1)]
    return {f.name: project.storage.read(f"{entry.folder}/{f.name}") for f in entry.files}


def test_files_are_staged_unchanged_and_once(project: Project, bucket: Any) -> None:
    for part in "12":
        bucket.blob(f"raw/{key_of(1)}-{part}.csv").upload_from_string(HEADER + f"{part},1,{key_of(1)}\n")
    uri = f"gs://{bucket.name}/raw/{{partition}}-*.csv"
    first = run(project, uri)
    assert staged(project, first) == {
        f"{key_of(1)}-{part}.csv": (HEADER + f"{part},1,{key_of(1)}\n").encode() for part in "12"
    }
    assert run(project, uri, "b").kind is Kind.RECEIPT
    bucket.blob(f"raw/{key_of(1)}-2.csv").upload_from_string(HEADER)
    assert run(project, uri, "c").partitions[key_of(1)].delivery == 2


def test_what_has_not_arrived_is_waited_for(project: Project, bucket: Any) -> None:
    uri = f"gs://{bucket.name}/raw/{{partition}}.csv"
    with pytest.raises(SourceNotReadyError, match="no raw file"):
        run(project, uri)
    source = project.source("readings")
    partition = Partition.parse(source.cadence, key_of(1))
    assert not arrived(project.settings, source, partition)
    bucket.blob(f"raw/{key_of(1)}.csv").upload_from_string(HEADER)
    assert arrived(project.settings, source, partition)
    assert run(project, uri).kind is Kind.MANIFEST


def test_rows_are_cut_by_their_time_from_one_object(project: Project, bucket: Any) -> None:
    import pyarrow.parquet as pq

    rows = f"a,1,{key_of(1)}T01:00:00Z\nb,2,{key_of(2)}T01:00:00Z\n"
    bucket.blob("raw/all.csv").upload_from_string(HEADER + rows)
    manifest = run(project, f"gs://{bucket.name}/raw/all.csv", time_column="at")
    entry = manifest.partitions[key_of(1)]
    with project.storage.open(f"{entry.folder}/{entry.files[0].name}") as file:
        assert pq.read_table(file).column("key").to_pylist() == ["a"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/a.csv", ["in/a.csv"]),
        ("in", ["in/a.csv", "in/b.json"]),
        ("in/", ["in/a.csv", "in/b.json"]),
        ("in/*", ["in/a.csv", "in/b.json"]),
        ("in/_*", ["in/_hidden"]),
        ("**/*", ["hive/dt=1/h=2/x.csv", "hive/y.csv", "in/a.csv", "in/b.json", "in/deep/er/a.csv"]),
        ("hive", ["hive/dt=1/h=2/x.csv", "hive/y.csv"]),
        ("hive/dt=*/*/*", ["hive/dt=1/h=2/x.csv"]),
        ("in/?.csv", ["in/a.csv"]),
        ("in/[b-z].*", ["in/b.json"]),
        ("*/a.csv", ["in/a.csv"]),
        ("**/a.csv", ["in/a.csv", "in/deep/er/a.csv"]),
        ("in/**/*.csv", ["in/a.csv", "in/deep/er/a.csv"]),
        ("none", []),
        ("none/*", []),
    ],
)
def test_a_glob_finds_objects_as_it_finds_files(
    bucket: Any, tmp_path: Path, pattern: str, found: list[str]
) -> None:
    names = ("in/a.csv", "in/b.json", "in/_hidden", "in/.dot", "in/deep/er/a.csv", "in/deep/", "hive/y.csv")
    for name in (*names, "hive/dt=1/h=2/x.csv", "hive/dt=1/_tmp/x.csv", "hive/_delta_log/0.json"):
        bucket.blob(name).upload_from_string(b"x")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(b"x")
    start = f"gs://{bucket.name}/"
    assert [file.where.removeprefix(start).split("#")[0] for file in find(f"{start}{pattern}")] == found
    assert [file.where.removeprefix(f"{tmp_path}/") for file in find(f"{tmp_path}/{pattern}")] == found


def test_a_folder_that_is_passed_over_is_named(bucket: Any, tmp_path: Path) -> None:
    for name in ("in/a.csv", "in/deep/er/a.csv", "in/dt=1/a.csv", "in/_tmp/a.csv"):
        bucket.blob(name).upload_from_string(b"x")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert passed_over(f"{tmp_path}/in") == [f"{tmp_path}/in/deep"]
    assert passed_over(f"gs://{bucket.name}/in") == [f"gs://{bucket.name}/in/deep/"]
    assert passed_over(f"{tmp_path}/in/**") == passed_over(f"{tmp_path}/in/a.csv") == []
    assert passed_over(f"{tmp_path}/*") == [f"{tmp_path}/in"]


def test_an_object_replaced_between_looking_and_copying_is_not_staged_under_the_old_hash(
    project: Project, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["provender.staging.stage"]  # its function hides it
    name = f"raw/{key_of(1)}.csv"
    bucket.blob(name).upload_from_string(HEADER + f"a,1,{key_of(1)}\n")
    profiled = module._profiled

    def replaced(*given: Any) -> Any:
        found = profiled(*given)
        bucket.blob(name).upload_from_string(HEADER + f"b,2,{key_of(1)}\n")
        return found

    monkeypatch.setattr(module, "_profiled", replaced)
    with pytest.raises(SourceNotReadyError, match="changed while it was being staged"):
        run(project, f"gs://{bucket.name}/raw/{{partition}}.csv")

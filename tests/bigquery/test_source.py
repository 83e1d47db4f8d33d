"""BigQuery as a source, on the emulator; every body checked against Google's discovery document on its way."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from google.cloud import bigquery

from provender.errors import ContractError, SourceNotReadyError
from provender.intervals import Partition
from provender.ledger import Kind, Manifest
from provender.settings import load_settings
from provender.specs.source import Source
from provender.staging import stage
from tests.bigquery.emulator import PROJECT, Cloud
from tests.bigquery.wire import Wire
from tests.engine import Project, make_project
from tests.spark.readings import SUM_SQL, key_of, spec

pytestmark = [pytest.mark.slow, pytest.mark.bigquery, pytest.mark.gcs]
_NUMBERS = itertools.count(1)
COLUMNS = {"key": "STRING", "value": "INT64", "at": "TIMESTAMP", "note": "STRING"}


@dataclass
class Shop:
    """A data set with a table ``readings``, and a project whose connection ``shop`` leads there."""

    project: Project
    cloud: Cloud
    bucket: str
    dataset: str

    @property
    def client(self) -> bigquery.Client:
        return self.cloud.bigquery.client()

    @property
    def table(self) -> str:
        return f"{self.dataset}.readings"

    def make(self, **columns: str) -> None:
        """The table, again."""
        reference = f"{PROJECT}.{self.table}"
        self.client.delete_table(reference, not_found_ok=True)
        fields = [bigquery.SchemaField(name, kind) for name, kind in (columns or COLUMNS).items()]
        self.client.create_table(bigquery.Table(reference, schema=fields))

    def insert(self, *rows: tuple[str, ...], columns: str = "`key`, `value`, `at`") -> None:
        """Rows of SQL expressions."""
        values = ", ".join(f"({', '.join(row)})" for row in rows)
        self.client.query(f"INSERT INTO `{PROJECT}.{self.table}` ({columns}) VALUES {values}").result()

    def source(self, sql: dict[str, str] | None = None, **changes: Any) -> Source:
        raw = {"sql": {"connection": "shop", **(sql or {"table": self.table})}, "time_column": "at"}
        return self.project.write_source(spec(raw=raw, **changes), daily=SUM_SQL)

    def stage(self, source: Source, *numbers: int, attempt: str = "a") -> Manifest:
        partitions = [Partition.parse(source.cadence, key_of(number)) for number in numbers]
        return stage(self.project.settings, source, partitions, attempt)

    def rows(self, manifest: Manifest, number: int) -> list[dict[str, Any]]:
        entry, found = manifest.partitions[key_of(number)], []
        for file in entry.files:
            with self.project.storage.open(f"{entry.folder}/{file.name}") as staged:
                found += pq.read_table(staged).to_pylist()
        return sorted(found, key=lambda row: str(row.get("key")))

    def exports(self) -> list[str]:
        """What is still on its way in the bucket."""
        return [o.name for o in self.cloud.gcs.client().list_blobs(self.bucket) if "exports/" in o.name]


_URI = re.compile(r"uri='gs://([^/]+)/([^*']+)")


def adopt_exports(cloud: Cloud, job: dict[str, Any]) -> None:
    """The emulator writes exports as files into the GCS emulator's folder, which shows only what was uploaded to it."""
    found = _URI.search(job["configuration"].get("query", {}).get("query", ""))
    if found is None:
        return
    bucket, prefix = found.groups()
    root = cloud.bigquery.bucket_root / bucket
    for path in sorted((root / prefix).parent.glob("*.parquet")):
        data, name = path.read_bytes(), str(path.relative_to(root))
        path.unlink()
        cloud.gcs.client().bucket(bucket).blob(name).upload_from_string(data)


def shop_in(folder: Path, cloud: Cloud, root: str = "gs://{bucket}/root", **settings: Any) -> Shop:
    project = make_project(folder, spark=settings.get("spark", {}))
    bucket, dataset = cloud.gcs.new_bucket(), f"shop_{next(_NUMBERS)}"
    path = project.settings.repo / "feature_store.yaml"
    document = yaml.safe_load(path.read_text())
    staging = "" if root.startswith("gs://") else f"&staging=gs://{bucket}/staging"
    document["provender"] |= {
        "storage_root": root.format(bucket=bucket),
        "connections": {"shop": f"bigquery://{PROJECT}?location=US{staging}"},
    }
    path.write_text(yaml.safe_dump(document))
    made = Shop(Project(folder, load_settings(project.settings.repo)), cloud, bucket, dataset)
    made.client.create_dataset(dataset)
    made.make()
    return made


@pytest.fixture(autouse=True)
def _exports_are_objects(cloud: Cloud, wire: Wire) -> None:
    wire.watch_after = partial(adopt_exports, cloud)


@pytest.fixture
def shop(tmp_path: Path, cloud: Cloud, wire: Wire) -> Shop:
    return shop_in(tmp_path, cloud)


def ts(text: str) -> str:
    return f"TIMESTAMP '{text}'"


@pytest.mark.parametrize("root", ["gs://{bucket}/root", "../storage"])
def test_a_days_rows_are_cut_half_open_and_nothing_is_left_on_the_way(
    tmp_path: Path, cloud: Cloud, wire: Wire, root: str
) -> None:
    shop = shop_in(tmp_path, cloud, root)
    shop.insert(
        ("'a'", "1", ts("2026-01-01 00:00:00+00")),
        ("'b'", "2", ts("2026-01-01 23:59:59.999999+00")),
        ("'c'", "3", ts("2026-01-02 00:00:00+00")),
        ("'d'", "4", ts("2026-01-02 01:00:00+02")),
        ("'e'", "5", "NULL"),
    )
    manifest = shop.stage(shop.source(), 1, 2)
    assert [(row["key"], row["value"]) for row in shop.rows(manifest, 1)] == [("a", 1), ("b", 2), ("d", 4)]
    assert shop.rows(manifest, 2) == [{"key": "c", "value": 3, "at": datetime(2026, 1, 2, tzinfo=UTC)}]
    assert any("1 raw rows have no 'at'" in note for note in manifest.notes)
    assert shop.exports() == []
    (first, _) = [query for query in wire.configurations("query") if "EXPORT DATA" in query["query"]]
    assert (
        "WHERE `at` >= TIMESTAMP '2026-01-01T00:00:00+00:00' AND `at` < TIMESTAMP '2026-01-02T"
        in first["query"]
    )
    assert first["useLegacySql"] is False


def test_the_same_rows_in_another_order_are_the_same_delivery_and_late_ones_a_new_one(shop: Shop) -> None:
    """A row that a clock behind the others stamped comes into a day that was staged before."""
    rows = [(f"'k{n % 7}'", str(n) if n % 5 else "NULL", ts("2026-01-01 01:00:00+00")) for n in range(200)]
    source = shop.source()
    shop.insert(*rows)
    shop.stage(source, 1)
    shop.make()
    shop.insert(*reversed(rows))
    assert shop.stage(source, 1, attempt="b").kind is Kind.RECEIPT
    shop.insert(("'late'", "9", ts("2026-01-01 23:59:00+00")))
    entry = shop.stage(source, 1, attempt="c").partitions[key_of(1)]
    assert (entry.delivery, entry.rows.split(":")[1]) == (2, "201")


def test_a_partition_without_rows_is_staged_without_rows(shop: Shop) -> None:
    source = shop.source()
    manifest = shop.stage(source, 1)
    assert manifest.partitions[key_of(1)].files and shop.rows(manifest, 1) == []
    assert shop.stage(source, 1, attempt="b").kind is Kind.RECEIPT


def test_no_file_at_all_is_a_partition_without_rows_too(shop: Shop, wire: Wire) -> None:
    adopt = wire.watch_after

    def write_nothing(job: dict[str, Any]) -> None:
        adopt(job)
        for name in shop.exports():
            shop.cloud.gcs.client().bucket(shop.bucket).blob(name).delete()

    wire.watch_after = write_nothing
    manifest = shop.stage(shop.source(), 1)
    assert manifest.partitions[key_of(1)].files and shop.rows(manifest, 1) == []


def test_a_query_is_put_where_a_table_would_be(shop: Shop) -> None:
    shop.insert(("'a'", "1", ts("2026-01-01 00:00:00+00")), ("'b'", "2", ts("2026-01-01 00:00:00+00")))
    query = f"WITH kept AS (SELECT * FROM `{PROJECT}.{shop.table}` WHERE `key` <> 'a') SELECT * FROM kept;"
    assert [row["key"] for row in shop.rows(shop.stage(shop.source({"query": query}), 1), 1)] == ["b"]


def test_an_answer_lost_half_way_finds_its_own_job(shop: Shop, wire: Wire) -> None:
    shop.insert(("'a'", "1", ts("2026-01-01 00:00:00+00")))
    wire.lose_answer_of = "-export-"
    assert len(shop.rows(shop.stage(shop.source(), 1), 1)) == 1
    assert wire.lose_answer_of is None
    assert len([q for q in wire.configurations("query") if "EXPORT DATA" in q["query"]]) == 1


def test_a_crash_after_the_export_leaves_nothing_staged_and_the_same_attempt_goes_on(
    shop: Shop, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provender.staging import bigquery as staging

    def dies(*_: Any) -> Any:
        raise KeyboardInterrupt

    shop.insert(("'a'", "1", ts("2026-01-01 00:00:00+00")))
    source = shop.source()
    with monkeypatch.context() as dying:
        dying.setattr(staging, "fingerprint", dies)
        dying.setattr(staging, "storage_at", lambda _: type("Kept", (), {"delete_tree": lambda *_: None})())
        with pytest.raises(KeyboardInterrupt):
            shop.stage(source, 1)
    assert shop.exports() and shop.project.storage.names("staging/readings") == []
    assert len(shop.rows(shop.stage(source, 1), 1)) == 1
    assert shop.exports() == []
    assert len([q for q in wire.configurations("query") if "EXPORT DATA" in q["query"]]) == 1


def test_columns_that_drift_are_left_to_the_contract(shop: Shop) -> None:
    source = shop.source()
    shop.make(key="STRING", value="STRING", at="TIMESTAMP", secret="STRING")
    shop.insert(("'a'", "'many'", ts("2026-01-01 00:00:00+00")))
    (found,) = shop.rows(shop.stage(source, 1), 1)
    assert found == {"key": "a", "value": "many", "at": datetime(2026, 1, 1, tzinfo=UTC)}
    shop.make(key="STRING", at="TIMESTAMP")
    shop.insert(("'a'", ts("2026-01-01 00:00:00+00")), columns="`key`, `at`")
    assert list(shop.rows(shop.stage(source, 1, attempt="b"), 1)[0]) == ["key", "at"]


@pytest.mark.parametrize(
    ("kind", "zone_or_format", "inside", "outside"),
    [
        ("DATETIME", {}, "DATETIME '2026-01-01 23:00:00'", "DATETIME '2026-01-02 00:00:00'"),
        ("DATE", {}, "DATE '2026-01-01'", "DATE '2026-01-02'"),
        ("INT64", {"format": "epoch_s"}, "1767225600", "1767312000"),
    ],
)
def test_wall_times_days_and_numbers_are_read_as_the_spec_says(
    shop: Shop, kind: str, zone_or_format: dict[str, str], inside: str, outside: str
) -> None:
    shop.make(key="STRING", value="INT64", at=kind)
    shop.insert(("'in'", "1", inside), ("'out'", "2", outside))
    source = shop.source(event_timestamp={"column": "at", **zone_or_format})
    assert [row["key"] for row in shop.rows(shop.stage(source, 1), 1)] == ["in"]


def _wall_times(shop: Shop) -> Source:
    shop.make(key="STRING", value="INT64", at="DATETIME")
    return shop.source(event_timestamp={"column": "at", "zone": "Europe/Zurich"})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (_wall_times, ContractError, "is a DATETIME, which BigQuery cannot compare with moments"),
        (lambda shop: shop.make(key="STRING") or shop.source(), ContractError, "no time column 'at'"),
        (lambda shop: shop.source({"table": f"{shop.dataset}.nothing"}), SourceNotReadyError, "not find it"),
        (lambda shop: shop.source({"query": "SELECT nonsense FROM nowhere("}), ContractError, "refuses"),
    ],
)
def test_what_cannot_be_is_said_once_and_nothing_is_staged(
    shop: Shop, make: Callable[[Shop], Source], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        shop.stage(make(shop), 1)
    assert shop.project.storage.names("staging/readings") == []


@pytest.mark.spark
def test_exported_rows_are_checked_and_become_features(
    tmp_path: Path, cloud: Cloud, wire: Wire, engine_url: str
) -> None:
    shop = shop_in(tmp_path, cloud, "../storage", spark={"remote": engine_url})
    shop.insert(
        ("'a'", "1", ts("2026-01-01 00:00:00+00")),
        ("'a'", "2", ts("2026-01-01 23:59:59.999999+00")),
        ("'b'", "5000", ts("2026-01-01 07:00:00+00")),
    )
    shop.source()
    manifest = shop.project.run("readings", key_of(1))
    assert (manifest.counts["staged"], manifest.counts["accepted"], manifest.counts["quarantined"]) == (
        3,
        2,
        1,
    )

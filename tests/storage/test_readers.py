from __future__ import annotations

import json

import pytest

from provender.storage.readers import arrow_filesystem, delta_options, hadoop_conf

GS = "gs://bucket/root/tables/t"
EMULATOR = "STORAGE_EMULATOR_HOST"


@pytest.fixture(autouse=True)
def _no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EMULATOR, raising=False)


def test_on_google_cloud_readers_find_the_credentials_themselves() -> None:
    assert delta_options(GS) == {}
    conf = hadoop_conf(GS)
    assert conf["spark.hadoop.fs.gs.impl"].endswith("GoogleHadoopFileSystem")
    assert not [name for name in conf if "auth" in name or "root.url" in name]


@pytest.mark.parametrize("address", ["http://127.0.0.1:4443", "http://127.0.0.1:4443/", "127.0.0.1:4443"])
def test_an_emulator_is_told_to_every_reader(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(EMULATOR, address)
    key = json.loads(delta_options(GS)["google_service_account_key"])
    assert key["gcs_base_url"] == "http://127.0.0.1:4443"
    assert hadoop_conf(GS)["spark.hadoop.fs.gs.storage.root.url"] == "http://127.0.0.1:4443"
    filesystem, path = arrow_filesystem(GS)
    assert (filesystem.type_name, path) == ("gcs", "bucket/root/tables/t")


def test_a_folder_needs_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMULATOR, "http://127.0.0.1:4443")
    uri = "file:///with%20space/t"
    assert (delta_options(uri), hadoop_conf(uri)) == ({}, {})
    filesystem, path = arrow_filesystem(uri)
    assert (filesystem.type_name, path) == ("local", "/with space/t")

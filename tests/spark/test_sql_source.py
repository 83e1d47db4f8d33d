"""A database's rows on their way into features."""

from __future__ import annotations

import pytest

from tests.engine import Project
from tests.postgres import PostgresServer
from tests.spark.readings import key_of
from tests.staging.test_sql import PASSWORD, POSTGRES, with_connection, write_source

pytestmark = [pytest.mark.spark, pytest.mark.postgres]


def test_a_tables_rows_are_checked_and_become_features(
    project: Project, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    database = postgres.new_database()
    shop = with_connection(project, POSTGRES.format(port=postgres.port, database=database))
    write_source(shop, violations={"max_share": 0.5})
    with postgres.admin(database) as connection:
        connection.execute("CREATE TABLE readings (key uuid, value numeric, at timestamptz)")
        connection.execute(
            "INSERT INTO readings SELECT md5(n::text)::uuid, CASE WHEN n = 3 THEN 1.5 ELSE n END, "
            f"timestamptz '{key_of(1)} 01:00Z' + n * interval '1 hour' FROM generate_series(1, 4) n"
        )
        manifest = shop.run("readings", key_of(1))
        assert (manifest.counts["accepted"], manifest.counts["quarantined"]) == (3, 1)
        assert manifest.partitions[key_of(1)].reasons == {"wrong_type:value": 1}
        connection.execute("UPDATE readings SET value = 7 WHERE value = 1.5")
        assert shop.run("readings", key_of(1), attempt="again").counts["accepted"] == 4

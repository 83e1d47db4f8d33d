"""A connection that breaks is fixed; a store that may have lost rows is not called complete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from provender.errors import OnlineStoreError
from provender.online.loss import begin, confirm, read_held, session_key
from provender.online.pipeline import Counts
from provender.online.writer import OnlineWriter
from tests.online.test_writer import VIEW, batch, row
from tests.servers import RedisServer

pytestmark = pytest.mark.redis


def test_connections_that_are_cut_while_rows_are_written_are_opened_again(redis_server: RedisServer) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for part in range(10):
            yield batch([row(part * 1000 + n, n, 1) for n in range(1000)])
            redis_server.client().client_kill_filter(_type="normal", skipme=True)

    assert OnlineWriter(redis_server.address, "shop").write(VIEW, batches()) == Counts(written=10_000)
    assert redis_server.client().dbsize() == 10_000


def test_an_untouched_store_is_confirmed_and_no_token_stays_behind(redis_server: RedisServer) -> None:
    confirm(redis_server.address, "shop", "v", begin(redis_server.address, "shop", "v"))
    assert redis_server.client().hgetall(session_key("shop")) == {b"s:v": b"-"}
    assert read_held(redis_server.address, "shop").views == {"v"}


def test_a_store_that_was_flushed_or_restarted_meanwhile_is_not_called_complete(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        begun = begin(server.address, "shop", "v")
        server.client().flushall()
        with pytest.raises(OnlineStoreError, match="may be missing"):
            confirm(server.address, "shop", "v", begun)

        begun = begin(server.address, "shop", "v")
        server.stop()
        server.start()
        server.client().hset(session_key("shop"), "w:v", begun.token)  # as from its own file
        with pytest.raises(OnlineStoreError, match="restarted"):
            confirm(server.address, "shop", "v", begun)
    finally:
        server.stop()

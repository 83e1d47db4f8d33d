"""The marker goes where the values go."""

from __future__ import annotations

import pytest

from provender.errors import OnlineStoreError
from provender.online.marker import Marker, delete_marker, marker_key, read_markers, write_marker
from tests.servers import RedisServer, free_port

pytestmark = pytest.mark.redis
MARKER = Marker("file:///tables/s/t", "id-1", "2026-11-22T00:00:00.000000Z", 7)


def test_a_marker_reads_back_per_view_and_project(redis_server: RedisServer) -> None:
    write_marker(redis_server.address, "shop", "v", MARKER)
    assert read_markers(redis_server.address, "shop") == {"v": MARKER}
    assert read_markers(redis_server.address, "workshop") == {}
    delete_marker(redis_server.address, "shop", "v")
    assert read_markers(redis_server.address, "shop") == {}


def test_a_flush_takes_the_marker_with_the_values(redis_server: RedisServer) -> None:
    write_marker(redis_server.address, "shop", "v", MARKER)
    redis_server.client().flushall()
    assert read_markers(redis_server.address, "shop") == {}


def test_a_marker_that_is_not_ours_is_an_error_with_the_key(redis_server: RedisServer) -> None:
    redis_server.client().hset(marker_key("shop"), "v", "{}")
    with pytest.raises(OnlineStoreError, match="not one of ours"):
        read_markers(redis_server.address, "shop")


def test_redis_away_is_an_error_with_the_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(OnlineStoreError, match=address):
        read_markers(address, "shop")

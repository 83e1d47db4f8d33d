"""Requests that wait together are answered together, and fail alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from provender_serving.batches import Answer, Batcher
from provender_serving.loading import LoadedModel, load_model
from provender_serving.pointer import Pointer
from provender_serving.problems import RefusedError
from servers import NOW, RedisServer, pointer

from provender.errors import OnlineStoreError


@pytest.fixture
def loaded(artifact: str, redis: RedisServer) -> LoadedModel:
    """Refuses unknown entities."""
    return load_model(
        "late", Pointer.model_validate(pointer(artifact, redis.address, unknown_entity="refuse"))
    )


def row(carrier: str, hour: int = 7) -> dict[str, Any]:
    return {"carrier": carrier, "origin": "JFK", "hour": hour, "event_timestamp": NOW.isoformat()}


def answers(
    loaded: LoadedModel, requests: Sequence[Sequence[dict[str, Any]]]
) -> tuple[list[Answer | BaseException], list[int]]:
    """What each request gets when all are put at once; and how many rows were predicted at once."""
    sizes: list[int] = []
    batcher = Batcher(loaded, sizes.append)

    async def ask() -> list[Answer | BaseException]:
        waiting = [batcher.predict(loaded.parser.parse(rows)) for rows in requests]
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = asyncio.run(ask())
    batcher.stop()
    batcher.join()
    return found, sizes


def test_each_request_gets_its_own_rows(loaded: LoadedModel) -> None:
    requests = [[row("UA", hour) for hour in range(size)] for size in (1, 3, 0, 2, 5) * 20]
    found, sizes = answers(loaded, requests)
    alone = {size: answers(loaded, [[row("UA", hour) for hour in range(size)]])[0][0] for size in range(6)}
    for request, answer in zip(requests, found, strict=True):
        single = alone[len(request)]
        assert isinstance(answer, Answer) and isinstance(single, Answer)
        assert answer.predictions == single.predictions
    assert len(sizes) < len(requests)  # the first may be alone; those that came meanwhile are not
    assert sum(sizes) == sum(len(rows) for rows in requests)


def test_a_refusal_is_its_own_requests_alone(loaded: LoadedModel) -> None:
    found, _ = answers(loaded, [[row("UA")], [row("UA"), row("??")], [row("AA")]] * 10)
    for number, answer in enumerate(found):
        if number % 3 == 1:
            assert isinstance(answer, RefusedError)
            assert {refusal.instance for refusal in answer.refusals} == {1}
        else:
            assert isinstance(answer, Answer)


def test_a_row_that_breaks_the_model_is_its_own_requests_alone(loaded: LoadedModel) -> None:
    class Picky:
        """A pipeline that fails on hour 13."""

        def predict_proba(self, matrix: Any) -> Any:
            if 13 in matrix[:, 1]:
                raise ArithmeticError("thirteen")
            return loaded.estimator.predict_proba(matrix)

    picky = LoadedModel(
        loaded.version, loaded.signature, loaded.parser, loaded.lookup, Picky(), loaded.reader
    )
    found, _ = answers(picky, [[row("UA", hour)] for hour in range(20)])
    assert [hour for hour, answer in enumerate(found) if isinstance(answer, ArithmeticError)] == [13]


def test_redis_away_is_told_to_everybody_at_once(artifact: str, tmp_path: Any) -> None:
    server = RedisServer(tmp_path)
    server.start()
    model = load_model("late", Pointer.model_validate(pointer(artifact, server.address)))
    server.stop()
    found, sizes = answers(model, [[row("UA")] for _ in range(50)])
    assert all(isinstance(answer, OnlineStoreError) for answer in found)
    assert len(sizes) < 50  # not one attempt for each


def test_what_waits_is_answered_before_the_thread_ends(loaded: LoadedModel) -> None:
    batcher = Batcher(loaded, lambda _: None)

    async def ask() -> list[Answer]:
        waiting = [
            asyncio.ensure_future(batcher.predict(loaded.parser.parse([row("UA")]))) for _ in range(30)
        ]
        await asyncio.sleep(0)  # all are in the queue
        batcher.stop()
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(ask())) == 30
    batcher.join()

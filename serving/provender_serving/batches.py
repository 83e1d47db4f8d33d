"""Requests that wait at the same time are answered together: one Redis round trip, one call of the model.

Nobody waits for a batch to fill. While the one worker thread is at it, requests gather; then it takes all of them.
So one client alone is served at once, and thirty-two share the fixed cost that scikit-learn has per call. The event
loop only parses, and stays free for health checks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from provender_serving.instances import Instance
from provender_serving.loading import LoadedModel
from provender_serving.lookup import Resolved
from provender_serving.problems import RefusedError

MAX_INSTANCES = 1000
"""A batch takes no further request once it has this many rows; a larger request is a batch of its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions of one request, and the features they were made from."""

    version: str
    predictions: list[float]
    resolved: Resolved
    first: int
    """Where the request's rows begin in ``resolved``."""


@dataclass(frozen=True, slots=True)
class _Job:
    instances: Sequence[Instance]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Answer]


_Outcome = tuple[_Job, Answer | Exception]


class Batcher:
    """Answers the requests for one loaded model in a thread of its own."""

    def __init__(self, model: LoadedModel, observe: Callable[[int], None]) -> None:
        self._model = model
        self._observe = observe
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"predict-{model.version}", daemon=True)
        self._thread.start()

    async def predict(self, instances: Sequence[Instance]) -> Answer:
        """Raises :class:`RefusedError`, :class:`provender.errors.OnlineStoreError`, and what the model raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.put(_Job(instances, loop, future))
        return await future

    def stop(self) -> None:
        """Lets the thread end after everything that waits is answered. Returns at once."""
        self._queue.put(None)

    def join(self) -> None:
        """Waits for the thread to end."""
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            jobs, stopping = self._take()
            if jobs:
                _deliver(self._answer(jobs))
        self._model.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """What waits now, at least one job; and whether that was all there will be."""
        job = self._queue.get()
        jobs: list[_Job] = []
        rows = 0
        while job is not None:
            jobs.append(job)
            rows += len(job.instances)
            if rows >= MAX_INSTANCES:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs, False
        return jobs, True

    def _answer(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        instances = [instance for job in jobs for instance in job.instances]
        self._observe(len(instances))
        try:
            resolved = self._model.resolve(instances)
        except Exception as error:  # noqa: BLE001 whatever it is, somebody waits for an answer
            return [(job, error) for job in jobs]
        try:
            if resolved.refusals:
                raise RefusedError([one for of_row in resolved.refusals.values() for one in of_row])
            predictions = self._model.predict(instances, resolved)
        except Exception as error:  # noqa: BLE001 as above
            # One request's failure is not another's.
            return [(jobs[0], error)] if len(jobs) == 1 else [self._answer([job])[0] for job in jobs]
        outcomes: list[_Outcome] = []
        first = 0
        for job in jobs:
            end = first + len(job.instances)
            outcomes.append((job, Answer(self._model.version, predictions[first:end], resolved, first)))
            first = end
        return outcomes


def _deliver(outcomes: Sequence[_Outcome]) -> None:
    """Hands the answers to the loops that wait for them."""
    loops = {id(job.loop): job.loop for job, _ in outcomes}
    for loop in loops.values():
        loop.call_soon_threadsafe(_set_results, [(job, found) for job, found in outcomes if job.loop is loop])


def _set_results(outcomes: Sequence[_Outcome]) -> None:
    for job, found in outcomes:
        if job.future.done():  # its client is gone
            continue
        if isinstance(found, Exception):
            job.future.set_exception(found)
        else:
            job.future.set_result(found)

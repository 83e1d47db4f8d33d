"""Puts a version into production step by step, or leaves everything as it was.

    start    is it newer than what serves, and are its features online?     → the first step
    begin    document ``canary``, then the backend stages that percentage
    finish   it is ready: asked and compared (:mod:`provender.rollout.smoke`)  → the next step, or document ``deploy``
    abort    whatever went wrong: the previous version back, then document ``rolled_back``

A document is written before what it announces, and after what it confirms, so a deployment that is killed anywhere
is found by the next one: its own is taken up where it was, another's is undone first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Event
from typing import Any, NoReturn

from provender.errors import DeployError, PredictorError, ProvenderError
from provender.model_registry.artifact import Artifact
from provender.model_registry.deployments import Action, Deployment, State
from provender.model_registry.store import ModelStore
from provender.rollout.smoke import Ask, SmokeTest, ask_golden
from provender.serving_backends.base import ALL_TRAFFIC, Readiness, ReadyState, Served, ServingBackend
from provender.serving_backends.client import Answer, Instance
from provender.settings import Settings
from provender.specs.models.spec import Serving
from provender.specs.source import Source
from provender.storage import Storage, storage_at

logger = logging.getLogger(__name__)

_ASKS_PER_HUNDRED = 30
"""How often a canary without an address of its own is asked until it answers: this many times, over its share. That
it never answers although it has its share then has a chance of e^-30."""
_LOCK_SECONDS = 1800.0


@contextmanager
def only_deployer(storage: Storage, model: str, attempt: str) -> Iterator[None]:
    """Keeps others from deploying ``model`` during the block, which may be one step of several.

    Raises :class:`provender.errors.LockHeldError` after half an hour.
    """
    with storage.lock(f"{model}.deployment", attempt, timeout_seconds=_LOCK_SECONDS):
        yield


@dataclass
class Rollout:
    """One version's way into production."""

    settings: Settings
    backend: ServingBackend
    model: str
    version: str
    key: str
    """The partition key it was trained for; empty where nobody said."""
    attempt: str
    """The same for every try of the same work."""
    serving: Serving
    sources: Mapping[str, Source]
    """What the model stands on."""
    as_served: Served | None = None
    """How it is served, where that is not the spec's to say: it has served before."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """What was asked and answered last."""

    @cached_property
    def storage(self) -> Storage:
        return storage_at(self.settings.storage_root)

    @cached_property
    def store(self) -> ModelStore:
        return ModelStore(self.storage, self.model)

    @cached_property
    def artifact(self) -> Artifact:
        return self.store.artifact(self.version)

    @cached_property
    def served(self) -> Served:
        """How this version is to be served: as its canary document says, once there is one."""
        trying = self._mine(self.store.state())
        if trying is not None and trying.serving:
            return Served.from_document(self.model, trying.serving)
        if self.as_served is not None:
            return self.as_served
        from provender.online.views import load_applied_views  # Arrow: too slow for parsing a DAG file

        views = load_applied_views(self.storage, self.settings.project)
        return Served.of(self.settings, self.artifact, self.serving, views)

    def reason_to_skip(self) -> str | None:
        """Why there is nothing to deploy; None if there is."""
        serving = self.store.state().serving
        if serving is not None and serving.version != self.version and self.key and serving.key > self.key:
            return f"version {serving.version}, trained for {serving.key}, serves: newer than {self.key}"
        return None

    def start(self) -> int | None:
        """The first step; None if this attempt's version serves already.

        Raises, with nothing changed: :class:`DeployError` if its features are not online or it is damaged,
        :class:`provender.errors.OnlineStoreError` if Redis does not answer.
        """
        state = self._after_others()
        if self._is_done(state):
            logger.info(f"{self.model} version {self.version} serves already")
            return None
        mine = self._mine(state)
        if mine is not None:
            logger.info(
                f"taking up the deployment of {self.version} where an earlier try ended, at {mine.percent}%"
            )
            return mine.percent
        self.artifact.verify()
        with self._smoke_test():
            pass  # it can be prepared: the features are online
        return self._steps(state)[0]

    def start_by_hand(self) -> int:
        """The first step of putting a version back. Raises :class:`DeployError` if it serves, or is damaged."""
        state = self._after_others()
        if state.version == self.version:
            raise DeployError(
                f"version {self.version} of {self.model} serves already",
                not_affected="everything: nothing was changed",
                remedy=f"provender models {self.model} lists the others",
                model=self.model,
                version=self.version,
            )
        self.artifact.verify()
        return self._steps(state)[0]

    def begin(self, percent: int) -> None:
        """Stages the version with ``percent`` of the traffic. On an error everything is put back."""
        state = self.store.state()
        mine = self._mine(state)
        if mine is None or mine.percent != percent:
            self.store.log.append(self._document(Action.CANARY, state, percent=percent))
        logger.info(f"{self.model}: version {self.version} gets {percent}% of the traffic")
        try:
            self.backend.stage(self.served, percent)
        except ProvenderError as error:
            self.abort(error)

    def finish(self, percent: int) -> int | None:
        """Tries the version, now that it is ready; the next step, or None: it has passed and serves.

        On an error everything is put back.
        """
        try:
            self._require_mine()
            ask = self._asking(percent)
            if ask is not None:
                self._try_out(percent, ask)
        except ProvenderError as error:
            self.abort(error)
        return self._following(percent)

    def put_back(self, percent: int) -> int | None:
        """As :meth:`finish`, for a version that has served before and is put back by hand.

        Only the golden rows are asked: a way back must not depend on what is online now.
        """
        try:
            self._require_mine()
            ask = self._asking(percent)
            if ask is not None:
                ask_golden(self.artifact, ask)
        except ProvenderError as error:
            self.abort(error)
        return self._following(percent, Action.ROLLBACK)

    def await_ready(self, percent: int) -> None:
        """Waits until the staged version is ready. Where it fails, or takes too long, everything is put back."""
        pause, deadline = Event(), time.monotonic() + self.serving.timeout.total_seconds()
        while True:
            found = self.readiness(percent)
            if found.state is ReadyState.READY:
                return
            if found.state is ReadyState.FAILED or time.monotonic() >= deadline:
                self.not_ready(found)
            pause.wait(self.backend.poll_seconds)

    def readiness(self, percent: int) -> Readiness:
        """How the staged version stands. Where that cannot be told for now, it counts as waiting."""
        try:
            return self.backend.readiness(self.served, percent)
        except PredictorError as error:
            return Readiness(ReadyState.WAITING, error.what)

    def outcome(self) -> dict[str, Any]:
        """The document since which this version serves. Raises :class:`DeployError` if it does not."""
        serving = self.store.state().serving
        if serving is None or serving.version != self.version:
            raise DeployError(
                f"version {self.version} of {self.model} does not serve",
                model=self.model,
                version=self.version,
            )
        return serving.to_document()

    def not_ready(self, found: Readiness) -> NoReturn:
        """Puts everything back, because the version did not become ready."""
        waited = "" if found.state is ReadyState.FAILED else f" within {self.serving.timeout}"
        version = f"{self.model} version {self.version}"
        self.abort(
            DeployError(
                f"{version} did not become ready{waited}: {found.reason}",
                model=self.model,
                version=self.version,
            )
        )

    def abort(self, error: ProvenderError) -> NoReturn:
        """Puts back what served before, writes that down, and raises ``error`` with it.

        Raises :class:`PredictorError` if that does not succeed: then the next try, or run, does it.
        """
        state = self.store.state()
        back = served_of(self.store, state)
        try:
            self.backend.restore(self.model, back)
        except ProvenderError as second:
            raise PredictorError(
                f"{error.what}\nand {_named(back)} could not be put back: {second.what}",
                where=second.where or error.where,
                not_affected=f"{_named(back)} where it still has traffic",
                remedy="run the same again: it takes up the deployment, or undoes it",
            ) from error
        if self._mine(state) is not None:
            self.store.log.append(
                self._document(Action.ROLLED_BACK, state, reason=error.what, smoke=self.evidence)
            )
        raise _with_outcome(error, f"{_named(back)}: it has all the traffic") from error

    def _try_out(self, percent: int, ask: Ask) -> None:
        with self._smoke_test() as test:
            self.evidence = {"percent": percent, **test.ask(ask)}
        logger.info(f"{self.model}: version {self.version} answers as the offline path does")

    @contextmanager
    def _smoke_test(self) -> Iterator[SmokeTest]:
        """What both stores say now, and say during the block."""
        from provender.rollout.preparation import (  # Arrow, DuckDB, Redis: too slow for parsing
            no_writes,
            prepare,
        )

        with no_writes(self.storage, self.sources, self.attempt):
            yield prepare(self.settings, self.storage, self.artifact, self.serving, self.sources, self.key)

    def _following(self, percent: int, action: Action = Action.DEPLOY) -> int | None:
        state = self.store.state()
        later = [step for step in self._steps(state) if step > percent]
        if later:
            return later[0]
        self.backend.settle(self.served)
        passed = f"passed {len(self.evidence.get('entities', []))} entities and"
        if action is Action.ROLLBACK:
            passed = "put back by hand, passed"
        reason = f"{passed} {len(self.artifact.examples)} golden rows"
        self.store.log.append(
            self._document(action, state, percent=ALL_TRAFFIC, reason=reason, smoke=self.evidence)
        )
        logger.info(f"{self.model}: version {self.version} serves")
        return None

    def _steps(self, state: State) -> Sequence[int]:
        return self.backend.steps(self.served, is_first=state.serving is None)

    def _asking(self, percent: int) -> Ask | None:
        """Asks the version on trial; None where it cannot be asked before it has traffic."""
        client = self.backend.client(self.served, percent)
        if client is None:
            return None
        tries = 1 if percent in (0, ALL_TRAFFIC) else _ASKS_PER_HUNDRED * ALL_TRAFFIC // percent

        def ask(instances: Sequence[Instance], return_features: bool) -> Answer:
            answer = client.predict(instances, return_features=return_features)
            for _ in range(tries - 1):
                if answer.version == self.version:
                    break
                answer = client.predict(instances, return_features=return_features)
            return answer

        return ask

    def _mine(self, state: State) -> Deployment | None:
        """The canary of this very attempt, if it is under way."""
        trying = state.trying
        is_mine = trying is not None and (trying.version, trying.attempt) == (self.version, self.attempt)
        return trying if is_mine else None

    def _require_mine(self) -> None:
        if self._mine(self.store.state()) is None:
            raise DeployError(
                f"the deployment of {self.version} is no longer under way: somebody else deployed or rolled back",
                where=f"{self.store.uri}/deployments",
                remedy=f"look at provender models {self.model}; run the deployment again if it is still wanted",
                model=self.model,
                version=self.version,
            )

    def _after_others(self) -> State:
        """The state once a deployment that another attempt left behind is undone."""
        state = self.store.state()
        if state.trying is None or self._mine(state) is not None:
            return state
        self._undo(state, state.trying)
        return self.store.state()

    def _is_done(self, state: State) -> bool:
        serving = state.serving
        return serving is not None and (serving.version, serving.attempt) == (self.version, self.attempt)

    def _undo(self, state: State, trying: Deployment) -> None:
        """Ends another attempt's deployment that never came to an end."""
        back = served_of(self.store, state)
        logger.info(
            f"version {trying.version} was being tried by {trying.attempt}, which ended: {_named(back)} comes back"
        )
        self.backend.restore(self.model, back)
        reason = f"its task ended before it passed; {self.attempt} undid it"
        self.store.log.append(
            replace(
                trying, action=Action.ROLLED_BACK, previous=state.version, reason=reason, smoke={}, serving={}
            )
        )

    def _document(self, action: Action, state: State, **more: Any) -> Deployment:
        return Deployment(
            model=self.model,
            action=action,
            version=self.version,
            attempt=self.attempt,
            key=self.key,
            previous=state.version,
            metrics=self.artifact.metrics,
            serving=self.served.to_document(),
            **more,
        )


def served_of(store: ModelStore, state: State) -> Served | None:
    """How the version that serves is served; None if nothing does."""
    if state.serving is None:
        return None
    return Served.from_document(store.model, state.serving.serving)


def _named(served: Served | None) -> str:
    return f"version {served.version}" if served else "nothing served before"


def _with_outcome(error: ProvenderError, not_affected: str) -> ProvenderError:
    """The same error, saying what serves now."""
    remedy = error.remedy or "fix the cause, then run the deployment again"
    return replace(error, not_affected=not_affected, remedy=remedy)

"""KServe's ModelServer with what it lacks: a host to listen on, our errors, request metrics, late models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kserve import ModelServer
from kserve.logging import logger
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from provender.errors import OnlineStoreError
from provender_serving import metrics
from provender_serving.connections import bounded_by
from provender_serving.guard import App, Guard, Message, Receive, Scope, Send
from provender_serving.limits import Limits
from provender_serving.problems import BadRequestError, LoadError, Problem, RequestError
from provender_serving.repository import PointerRepository


class PredictorServer(ModelServer):
    """Serves a :class:`PointerRepository`."""

    def __init__(
        self,
        repository: PointerRepository,
        app: FastAPI,
        host: str,
        limits: Limits,
        token: str,
        **options: Any,
    ) -> None:
        super().__init__(registered_models=repository, enable_latency_logging=False, **options)
        self._repository = repository
        self._host = host
        self._limits = limits
        self.model_repository_extension = LoadExtension(model_registry=repository)
        app.add_exception_handler(RequestError, _answer_request_error)
        app.add_exception_handler(RequestValidationError, _answer_validation_error)
        app.add_exception_handler(OnlineStoreError, _answer_online_store_error)
        app.add_exception_handler(LoadError, _answer_load_error)
        app.add_api_route("/provender/models", _describe(repository), methods=["GET"])
        app.add_middleware(Guard, limits=limits, token=token, host=host)
        app.add_middleware(RequestMetrics, repository=repository)

    async def _serve(self) -> None:
        config = self._rest_server.config
        config.host = self._host  # KServe listens on all addresses
        config.http = bounded_by(self._limits)
        config.timeout_keep_alive = self._limits.idle_seconds
        loading = asyncio.create_task(self._repository.load_all())
        try:
            await super()._serve()
        finally:
            loading.cancel()


class LoadExtension(ModelRepositoryExtension):
    """KServe's, whose answer to a failed load would call the model that still serves not ready."""

    async def load(self, model_name: str) -> None:
        """Raises :class:`LoadError`."""
        await self._model_registry.load(model_name)


class RequestMetrics:
    """ASGI middleware that counts and times requests for a model."""

    def __init__(self, app: App, repository: PointerRepository) -> None:
        self._app = app
        self._repository = repository

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        protocol = _protocol(scope)
        if protocol is None:
            await self._app(scope, receive, send)
            return
        code = 500
        started = time.perf_counter()

        async def send_and_see(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        finally:
            model = self._model(scope["path"])
            metrics.REQUESTS.labels(model, protocol, str(code)).inc()
            metrics.SECONDS.labels(model, protocol).observe(time.perf_counter() - started)

    def _model(self, path: str) -> str:
        """The model in the path; empty for names that are not served, of which there may be any number."""
        name = path.split("/")[3].partition(":")[0]
        return name if name in self._repository.models else ""


def _protocol(scope: Scope) -> str | None:
    """``v1`` or ``v2`` for a prediction; None for everything else."""
    if scope["type"] != "http":
        return None
    path: str = scope["path"]
    if path.startswith("/v1/models/") and path.endswith(":predict"):
        return "v1"
    return "v2" if path.startswith("/v2/models/") and path.endswith("/infer") else None


def _describe(repository: PointerRepository) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def describe() -> dict[str, Any]:
        return {"starting": repository.starting, "models": repository.describe()}

    return describe


async def _answer_request_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)
    logger.warning("%d: %s", error.status, error)
    return JSONResponse(error.document(), status_code=error.status)


async def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    """FastAPI's 422 for a V2 body of another shape, as our 400."""
    assert isinstance(error, RequestValidationError)
    problems = [Problem(_field(one["loc"]), one["msg"]) for one in error.errors()]
    return await _answer_request_error(request, BadRequestError(problems))


def _field(location: tuple[str | int, ...]) -> str:
    """``inputs.0.shape`` of FastAPI's ``("body", "InferenceRequest", "inputs", 0, "shape")``."""
    return ".".join(str(part) for part in location if part not in ("body", "InferenceRequest")) or "body"


async def _answer_online_store_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OnlineStoreError)
    logger.error("503: %s", error.what)
    return JSONResponse({"error": error.what, **error.to_dict()}, status_code=503)


async def _answer_load_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LoadError)
    return JSONResponse({"error": str(error), "terminal": error.terminal}, status_code=503)

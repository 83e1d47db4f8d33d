"""The KServe model: a request in, an answer out. What it predicts with is replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from kserve import InferRequest, InferResponse, Model

from provender_serving import metrics, v2
from provender_serving.answers import v1_document
from provender_serving.batches import Answer, Batcher
from provender_serving.loading import LoadedModel
from provender_serving.problems import TooManyError, bad_request

_TOP_LEVEL = {"instances", "return_features"}


class Predictor(Model):
    """One loaded version under one name."""

    def __init__(self, name: str, loaded: LoadedModel, max_instances: int) -> None:
        super().__init__(name)
        self._max_instances = max_instances
        self.loaded = loaded
        self.since = datetime.now(UTC)
        self.ready = True
        self._kinds = v2.kinds_of(loaded.signature)
        self._instances = metrics.INSTANCES.labels(name)
        self._batcher = Batcher(loaded, metrics.BATCHES.labels(name).observe)

    async def predict(
        self,
        payload: Any,
        headers: Mapping[str, str] | None = None,
        response_headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | InferResponse:
        """V1 and V2. Raises what :mod:`provender_serving.problems` lists."""
        if isinstance(payload, InferRequest):
            return await self._predict_v2(payload)
        document = _v1_document(payload)
        answer = await self._answer(document["instances"])
        return v1_document(answer, document.get("return_features", False))

    def get_input_types(self) -> list[dict[str, Any]]:
        return v2.input_tensors(self.loaded.signature)

    def get_output_types(self) -> list[dict[str, Any]]:
        return v2.output_tensors(self.loaded.signature)

    def load(self) -> bool:
        """Loading is the repository's: a predictor is born loaded."""
        return bool(self.ready)

    def stop(self) -> None:
        """Takes no new work, and ends when what waits is answered."""
        self.ready = False
        self._batcher.stop()

    async def _answer(self, raw: Sequence[Any]) -> Answer:
        """Parses and predicts. Raises :class:`TooManyError` before it looks at any instance."""
        if len(raw) > self._max_instances:
            raise TooManyError(len(raw), self._max_instances)
        instances = self.loaded.parser.parse(raw)
        answer = await self._batcher.predict(instances)
        self._instances.inc(len(instances))
        return answer

    async def _predict_v2(self, request: InferRequest) -> InferResponse:
        answer = await self._answer(v2.instances_of(request, self._kinds))
        return v2.response_of(request, self.name, self.loaded.signature.output[0].name, answer)


def _v1_document(payload: Any) -> dict[str, Any]:
    """The request's JSON object, whatever content type it came with."""
    if isinstance(payload, bytes):
        try:
            payload = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise bad_request("body", f"is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise bad_request("body", f"expected a JSON object, not {type(payload).__name__}")
    if not isinstance(payload.get("instances"), list):
        raise bad_request("instances", "expected a list of objects")
    if not isinstance(payload.get("return_features", False), bool):
        raise bad_request("return_features", "expected true or false")
    unknown = sorted(set(payload) - _TOP_LEVEL)
    if unknown:
        raise bad_request(unknown[0], f"is not known; there is {sorted(_TOP_LEVEL)}")
    return payload

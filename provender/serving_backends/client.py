"""Asks a model's server for predictions, in KServe's V1 protocol."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provender.errors import DeployError, PredictorError
from provender.intervals import iso

Instance = Mapping[str, Any]
_LOWEST_SERVER_ERROR = 500
_INTERNAL_ERROR = 500
_SHOWN_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: one prediction for each instance, in their order."""

    predictions: tuple[float, ...]
    version: str
    """Of the model that predicted."""
    features: tuple[Mapping[str, Any], ...] = ()
    """For each instance ``view__feature`` to its value, times and status, if they were asked for."""


@dataclass(frozen=True, slots=True)
class PredictorClient:
    """One model behind one address."""

    url: str
    """Of the server, without a path."""
    model: str
    timeout_seconds: float = 30.0
    host: str = ""
    """``Host`` header, where the address is an ingress'; empty: the address' own."""

    def predict(self, instances: Sequence[Instance], *, return_features: bool = False) -> Answer:
        """Raises :class:`PredictorError` if the server is not able to answer (unreachable, timeout, 5xx), and
        :class:`DeployError` with its answer if the model refuses the instances or fails on them."""
        body = {"instances": list(instances), "return_features": return_features}
        document = self._ask(json.dumps(body, default=_as_json).encode())
        try:
            return Answer(
                tuple(float(value) for value in document["predictions"]),
                str(document.get("model_version", "")),
                tuple(document.get("features") or ()),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DeployError(
                f"{self.model} gave no predictions but {str(document)[:_SHOWN_CHARACTERS]}",
                where=self._where,
                model=self.model,
            ) from error

    @property
    def _where(self) -> str:
        return f"{self.url.rstrip('/')}/v1/models/{self.model}:predict"

    def _ask(self, body: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} | ({"Host": self.host} if self.host else {})
        request = urllib.request.Request(self._where, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error
        except OSError as error:  # also URLError and timeouts
            raise PredictorError(
                f"the predictor of {self.model} does not answer: {getattr(error, 'reason', None) or error}",
                where=self._where,
                remedy="see whether it runs: provender services, or kubectl get inferenceservice",
            ) from error
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise DeployError(
                f"{self.model} did not answer in JSON: {text[:_SHOWN_CHARACTERS]!r}",
                where=self._where,
                model=self.model,
            ) from error

    def _refused(self, error: urllib.error.HTTPError) -> DeployError | PredictorError:
        answer = error.read().decode(errors="replace")[:_SHOWN_CHARACTERS]
        what = f"{self.model} answered {error.code}: {answer}"
        # 500 is the model's own code that failed: asking again gives the same. 502 to 504 are on the way there.
        if error.code >= _LOWEST_SERVER_ERROR and error.code != _INTERNAL_ERROR:
            return PredictorError(what, where=self._where, remedy="see the answer; then run the same again")
        return DeployError(what, where=self._where)


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(f"a request cannot hold {type(value).__name__}")

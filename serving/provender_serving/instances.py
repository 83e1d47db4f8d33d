"""What one instance of a request brings, checked against the model's signature."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provender.model_registry.artifact import Signature
from provender.specs.problems import closest
from provender_serving.problems import BadRequestError, Problem
from provender_serving.values import Convert, converter, parse_timestamp, to_micros

EVENT_TIMESTAMP = "event_timestamp"


@dataclass(frozen=True, slots=True)
class Instance:
    """One row to predict."""

    values: dict[str, Any]
    """Join keys, request columns and given features, as Python values."""
    time: int
    """The moment the prediction is asked for, in microseconds since the epoch."""
    given: frozenset[str] = frozenset()
    """Features in ``values``: they are not looked up."""


class InstanceParser:
    """Reads instances of one model."""

    def __init__(self, signature: Signature) -> None:
        keys = {column.name: column.type for column in signature.entities}
        request = {column.name: column.type for column in signature.request}
        features = {feature.name: feature.type for feature in signature.features}
        self._converters: dict[str, Convert] = {
            name: converter(kind) for name, kind in (keys | request | features).items()
        }
        self._request = tuple(request)
        self._features = frozenset(features)
        self._keys_of = {feature.name: feature.join_keys for feature in signature.features}
        self._all_keys = tuple(dict.fromkeys(key for keys in self._keys_of.values() for key in keys))

    @property
    def fields(self) -> list[str]:
        """Every name an instance may have."""
        return [*self._converters, EVENT_TIMESTAMP]

    def parse(self, raw: Sequence[Any]) -> list[Instance]:
        """``raw`` are JSON objects. Raises :class:`BadRequestError` with all that is wrong in all of them."""
        problems: list[Problem] = []
        now = time.time_ns() // 1000
        found = [self._parse_one(index, one, now, problems) for index, one in enumerate(raw)]
        if problems:
            raise BadRequestError(problems)
        return found

    def _parse_one(self, index: int, raw: Any, now: int, problems: list[Problem]) -> Instance:
        if not isinstance(raw, dict):
            problems.append(Problem("instances", f"expected an object, not {type(raw).__name__}", index))
            return Instance({}, now)
        values: dict[str, Any] = {}
        for name, value in raw.items():
            try:
                values[name] = None if value is None else self._converters[name](value)
            except ValueError as error:
                problems.append(Problem(name, str(error), index))
            except KeyError:
                if name != EVENT_TIMESTAMP:
                    problems.append(Problem(name, self._unknown(name), index))
        moment = self._moment(index, raw, now, problems)
        given = self._features.intersection(values)
        for name in dict.fromkeys((*self._request, *self._needed_keys(given))):
            if name not in raw:
                problems.append(Problem(name, "is missing", index))
        return Instance(values, moment, given)

    def _needed_keys(self, given: frozenset[str]) -> Sequence[str]:
        """Join keys of the features that have to be looked up."""
        if not given:
            return self._all_keys
        return list(dict.fromkeys(key for name in self._features - given for key in self._keys_of[name]))

    def _moment(self, index: int, raw: Mapping[str, Any], now: int, problems: list[Problem]) -> int:
        if raw.get(EVENT_TIMESTAMP) is None:
            return now
        try:
            return to_micros(parse_timestamp(raw[EVENT_TIMESTAMP]))
        except ValueError as error:
            problems.append(Problem(EVENT_TIMESTAMP, str(error), index))
            return now

    def _unknown(self, name: str) -> str:
        match = closest(name, self.fields)
        return f"is not known; did you mean {match!r}?" if match else f"is not known; there is {self.fields}"

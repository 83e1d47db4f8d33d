"""Instances into the columns a model takes: online features looked up, ages checked, policies applied.

A feature's status for an instance is the first of these that holds:

    given            the request brought the value; nothing is looked up
    unknown_entity   a join key is null, or nothing the model reads is online for the entity
    missing          the entity is known, and its view has no values
    stale            the values were not true at the instance's time, or too old for it: event timestamp > time, or
                     < time - max age; or, for a model trained on what was known, created timestamp > time
    missing          the value is null
    present

These are the bounds of the point-in-time join, ``[time - ttl, time]``, so a value that training would not have
seen is not used here. What is used instead is the policy's: null, a default, or an answer of 422.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from provender.model_registry.artifact import FeatureInput, Signature
from provender.online.reader import OnlineFeatures, Reader, ViewTimes
from provender_serving.instances import Instance
from provender_serving.metrics import FeatureTally
from provender_serving.pointer import Policy
from provender_serving.problems import LoadError, Refusal
from provender_serving.values import converter, to_json


class Status(StrEnum):
    """Where a value came from, or why there is none."""

    PRESENT = "present"
    MISSING = "missing"
    STALE = "stale"
    UNKNOWN_ENTITY = "unknown_entity"
    GIVEN = "given"


@dataclass(slots=True)
class Column:
    """One feature for each instance: what the model gets, and why."""

    values: list[Any]
    statuses: Sequence[Status]
    times: ViewTimes | None = None


@dataclass(slots=True)
class Resolved:
    """Every feature of the signature for each instance."""

    columns: dict[str, Column] = field(default_factory=dict)
    refusals: dict[int, list[Refusal]] = field(default_factory=dict)
    """By instance, where the policy refuses."""


class FeatureLookup:
    """Looks up the features of one model."""

    def __init__(
        self, signature: Signature, policy: Policy, reader: Reader | None, tally: FeatureTally
    ) -> None:
        """Raises :class:`LoadError` for a policy that is none, or a default of another type than its feature."""
        self._features = signature.features
        self._as_known = signature.as_known
        self._keys = [column.name for column in signature.entities]
        self._reader = reader
        self._tally = tally
        self._defaults = _defaults(signature, policy.defaults)
        self._policies = {
            Status.MISSING: _checked("missing", policy.missing),
            Status.STALE: _checked("stale", policy.stale),
            Status.UNKNOWN_ENTITY: _checked("unknown_entity", policy.unknown_entity),
        }

    def resolve(self, instances: Sequence[Instance]) -> Resolved:
        """One Redis round trip at most. Raises :class:`provender.errors.OnlineStoreError`."""
        needed = self._needed(instances)
        found = self._read(instances, needed)
        statuses = {
            view: self._statuses(instances, times, _max_age(needed, view))
            for view, times in found.times.items()
        }
        resolved = Resolved()
        for feature in self._features:
            if feature in needed:
                column = Column(
                    found.values[f"{feature.view}:{feature.feature}"],
                    statuses[feature.view],
                    found.times[feature.view],
                )
                self._fill(feature, instances, column, resolved)
            else:
                column = Column([i.values[feature.name] for i in instances], [Status.GIVEN] * len(instances))
            resolved.columns[feature.name] = column
            self._tally.count(feature.name, column.statuses)
        self._tally.observe_ages(instances, found.times)
        return resolved

    def _needed(self, instances: Sequence[Instance]) -> Sequence[FeatureInput]:
        """The features that some instance did not bring."""
        if not any(instance.given for instance in instances):
            return self._features if instances else ()
        return [f for f in self._features if not all(f.name in i.given for i in instances)]

    def _read(self, instances: Sequence[Instance], needed: Sequence[FeatureInput]) -> OnlineFeatures:
        if not needed:
            return OnlineFeatures({}, {})
        if self._reader is None:
            names = ", ".join(feature.name for feature in needed)
            raise LoadError(f"there is no online store to look up {names} in, and not every row brings them")
        columns = {key: [instance.values.get(key) for instance in instances] for key in self._keys}
        return self._reader.read(columns, [f"{feature.view}:{feature.feature}" for feature in needed])

    def _statuses(self, instances: Sequence[Instance], times: ViewTimes, max_age: int) -> list[Status]:
        found = []
        rows = zip(instances, times.event, times.created, times.known, strict=True)
        for instance, event, created, known in rows:
            if not known:
                found.append(Status.UNKNOWN_ENTITY)
            elif event is None:
                found.append(Status.MISSING)
            elif (
                event > instance.time
                or (max_age and instance.time - event > max_age)
                or (self._as_known and created is not None and created > instance.time)
            ):
                found.append(Status.STALE)
            else:
                found.append(Status.PRESENT)
        return found

    def _fill(
        self, feature: FeatureInput, instances: Sequence[Instance], column: Column, resolved: Resolved
    ) -> None:
        """Puts given values and the policies' into a column that was read."""
        plain = None not in column.values and all(status is Status.PRESENT for status in column.statuses)
        if plain and not any(instance.given for instance in instances):
            return
        values, statuses = list(column.values), list(column.statuses)
        for row, instance in enumerate(instances):
            if feature.name in instance.given:
                values[row], statuses[row] = instance.values[feature.name], Status.GIVEN
            elif statuses[row] is not Status.PRESENT or values[row] is None:
                status = Status.MISSING if statuses[row] is Status.PRESENT else statuses[row]
                values[row], statuses[row] = self._without(feature.name, status), status
                if self._policies[status] == "refuse":
                    entity = {key: to_json(instance.values.get(key)) for key in feature.join_keys}
                    refusal = Refusal(row, feature.name, status.value, entity)
                    resolved.refusals.setdefault(row, []).append(refusal)
        column.values, column.statuses = values, statuses

    def _without(self, name: str, status: Status) -> Any:
        return self._defaults.get(name) if self._policies[status] == "default" else None


def _max_age(features: Sequence[FeatureInput], view: str) -> int:
    """In microseconds; 0: no limit."""
    return int(max(f.max_age_seconds for f in features if f.view == view) * 1_000_000)


def _defaults(signature: Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {feature.name: feature.type for feature in signature.features}
    try:
        return {name: converter(kinds[name])(value) for name, value in given.items()}
    except KeyError as error:
        raise LoadError(f"the policy's default for {error} is for no feature of the model") from error
    except ValueError as error:
        raise LoadError(f"a default of the policy: {error}") from error


def _checked(name: str, value: str) -> str:
    if value not in ("as_null", "default", "refuse"):
        raise LoadError(f"policy {name}: {value!r} is not one of as_null, default, refuse")
    return value

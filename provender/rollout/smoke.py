"""Does serving agree with what the model was trained on? Asked before a deployment, and after each of its steps.

    prepare   newest entities of the training set → their values online and, at the same time t, offline:
              every feature is online, within its age, and equal                          (nothing is deployed yet)
    ask       the golden rows, all features given      → the predictions made when training
              the entities, features read online, at t → the offline features, and the prediction they give

t is the end of the key's interval plus the sources' greatest delay, when its data had to be there; or the newest event
or created timestamp seen online, where that is later (later data came, and a server has nothing else).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from provender.errors import DeployError
from provender.intervals import iso
from provender.model_registry.artifact import Artifact, FeatureInput
from provender.rollout.compare import Columns, close, differing
from provender.serving_backends.client import Answer, Instance
from provender.specs.models.spec import Policy, Serving
from provender.specs.source import EVENT_TIMESTAMP

if TYPE_CHECKING:
    from provender.online.reader import OnlineFeatures

CANDIDATES_PER_ENTITY = 20
"""How many entities are looked at for each that is asked about: those with the fewest nulls say most."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 5
_COUNTS = ("present", "given")
_NOT_ONLINE = (
    "what provender status lists as not online: the command beside it; where it lists nothing, the online store lost "
    "these values: provender materialize SOURCE --full"
)
_TOO_OLD = (
    "ingest and materialize the partitions that are newer (provender status lists them); where there are none, the "
    "view's ttl is shorter than its data is late: make it longer in views/ and train again"
)

Row = dict[str, Any]
Ask = Callable[[Sequence[Instance], bool], Answer]
"""Instances, and whether to return the features."""


@dataclass(frozen=True)
class SmokeTest:
    """What a version is asked, and what it has to answer."""

    artifact: Artifact
    serving: Serving
    at: datetime
    rows: tuple[Row, ...]
    """Join keys and request columns."""
    offline: Columns
    """The features of these rows at ``at``."""

    def ask(self, ask: Ask) -> dict[str, Any]:
        """Asks the server for both, and compares. Returns what was asked and answered, as plain values.

        Raises :class:`DeployError` with both answers where they differ or the model refuses, and
        :class:`PredictorError` if the server cannot answer.
        """
        ask_golden(self.artifact, ask)
        asked = [{**row, EVENT_TIMESTAMP: iso(self.at)} for row in self.rows]
        answer = _checked(self.artifact, ask(asked, True), len(asked))
        served = self._served_features(answer)
        self._compare_features(served)
        explicit = [{**instance, **self._given(place, answer)} for place, instance in enumerate(asked)]
        again = _checked(self.artifact, ask(explicit, False), len(asked))
        for place, (online, offline) in enumerate(zip(answer.predictions, again.predictions, strict=True)):
            if not close(online, offline):
                raise self._failed(
                    f"{_shown(self.rows[place])}: from online features it predicts {online!r}, "
                    f"from the same features read offline {offline!r}"
                )
        return self._evidence(answer, served, again)

    def _served_features(self, answer: Answer) -> Columns:
        """What the model was given, null where the server did not count what it found."""
        names = [feature.name for feature in self.artifact.signature.features]
        if len(answer.features) != len(self.rows):
            raise self._failed("the server did not say which features it read")
        return {name: [_counted(of_row.get(name, {})) for of_row in answer.features] for name in names}

    def _compare_features(self, served: Columns) -> None:
        kinds = {feature.name: feature.type for feature in self.artifact.signature.features}
        differ = [
            f"{_shown(self.rows[row])}: {name} served {left!r}, offline {right!r}"
            for row, name, left, right in differing(served, self.offline, kinds)
        ]
        if differ:
            raise self._failed(
                _listed(f"it read other features than the offline tables have at {iso(self.at)}", differ)
            )

    def _given(self, place: int, answer: Answer) -> Row:
        """The offline features of a row as a request brings them; where there is none, what the policy puts there."""
        return {
            name: self._default(name, answer.features[place]) if column[place] is None else column[place]
            for name, column in self.offline.items()
        }

    def _default(self, name: str, features: Mapping[str, Any]) -> Any:
        policy = {
            "missing": self.serving.missing,
            "stale": self.serving.stale,
            "unknown_entity": self.serving.unknown_entity,
        }.get(features[name]["status"])
        return self.serving.defaults.get(name) if policy is Policy.DEFAULT else None

    def _failed(self, what: str) -> DeployError:
        return _failed(self.artifact, what)

    def _evidence(self, answer: Answer, served: Columns, again: Answer) -> dict[str, Any]:
        return {
            "at": iso(self.at),
            "golden_rows": len(self.artifact.examples),
            "entities": [_plain(row) for row in self.rows],
            "online": {name: [_value(value) for value in column] for name, column in served.items()},
            "offline": {name: [_value(value) for value in column] for name, column in self.offline.items()},
            "predictions": list(answer.predictions),
            "predictions_offline": list(again.predictions),
        }


def ask_golden(artifact: Artifact, ask: Ask) -> None:
    """Asks for the rows that training kept, with all features given. Raises :class:`DeployError` with both
    predictions where one is another than when training."""
    examples = artifact.examples
    if not examples:
        return
    answer = _checked(artifact, ask([dict(example.inputs) for example in examples], False), len(examples))
    differ = [
        f"{_shown(example.inputs)}: served {served!r}, when training {example.prediction!r}"
        for example, served in zip(examples, answer.predictions, strict=True)
        if not close(served, example.prediction)
    ]
    if differ:
        raise _failed(artifact, _listed("it predicts something else than when it was trained", differ))


def smoke_time(key_end: datetime | None, delays: Sequence[timedelta], online: OnlineFeatures) -> datetime:
    """t (see the module)."""
    seen = [
        micros
        for times in online.times.values()
        for micros in chain(times.event, times.created)
        if micros is not None
    ]
    moments = [_EPOCH + timedelta(microseconds=max(seen))] if seen else []
    if key_end is not None:
        moments.append(key_end + max(delays, default=timedelta(0)))
    return max(moments, default=datetime.now(UTC))


def choose_entities(
    artifact: Artifact,
    serving: Serving,
    at: datetime,
    candidates: Sequence[Row],
    online: OnlineFeatures,
    offline: Columns,
) -> SmokeTest:
    """The test with those of ``candidates`` that have the fewest nulls offline, ``serving.smoke_entities`` at most.

    Raises :class:`DeployError` if a feature is online for none of the candidates, or if what is online for a chosen
    one is too old, or not what is offline.
    """
    features = artifact.signature.features
    usable = usable_values(features, artifact.signature.as_known, at, online)
    # A null that is there, and fresh, is a value: it is compared with the offline one below.
    fresh = fresh_rows(features, artifact.signature.as_known, at, online)
    absent = [name for name, column in fresh.items() if not any(column)]
    if absent:
        newest = {f.name: newest_online(f, online) for f in features if f.name in absent}
        raise _not_ready(
            artifact,
            [_absent(name, at, len(candidates), moment) for name, moment in newest.items()],
            _NOT_ONLINE if None in newest.values() else _TOO_OLD,
        )
    nulls = [sum(column[place] is None for column in offline.values()) for place in range(len(candidates))]
    order = sorted(range(len(candidates)), key=nulls.__getitem__)
    if Policy.REFUSE in (serving.missing, serving.stale, serving.unknown_entity):
        order = [place for place in order if nulls[place] == 0]
    if not order:
        raise _not_ready(
            artifact,
            [f"none of {len(candidates)} entities has all features, and others are refused"],
            "set missing, stale or unknown_entity in the model's spec (serving) to as_null or default, or leave out "
            "the features that are null so often",
        )
    chosen = sorted(order[: serving.smoke_entities])
    usable, expected = _at_places(usable, chosen), _at_places(offline, chosen)
    rows = tuple(candidates[place] for place in chosen)
    kinds = {feature.name: feature.type for feature in features}
    differ = [
        f"{_shown(rows[row])}: {name} online {left!r}, offline {right!r}"
        for row, name, left, right in differing(usable, expected, kinds)
    ]
    if differ:
        raise _not_ready(artifact, differ, _NOT_ONLINE)
    return SmokeTest(artifact, serving, at, rows, expected)


def usable_values(
    features: Sequence[FeatureInput], as_known: bool, at: datetime, online: OnlineFeatures
) -> Columns:
    """Online values by ``view__feature``; None where a server at ``at`` would not count them (too old, or not yet)."""
    fresh = fresh_rows(features, as_known, at, online)
    return {
        feature.name: [
            value if counts else None
            for value, counts in zip(
                online.values[f"{feature.view}:{feature.feature}"], fresh[feature.name], strict=True
            )
        ]
        for feature in features
    }


def fresh_rows(
    features: Sequence[FeatureInput], as_known: bool, at: datetime, online: OnlineFeatures
) -> dict[str, list[bool]]:
    """By ``view__feature``, for each row: is there a value online, null or not, that a server at ``at`` counts?"""
    moment = (at - _EPOCH) // timedelta(microseconds=1)
    found = {}
    for feature in features:
        times = online.times[feature.view]
        least = moment - round(feature.max_age_seconds * 1_000_000) if feature.max_age_seconds else None
        found[feature.name] = [
            _counts(event, created if as_known else None, moment, least)
            for event, created in zip(times.event, times.created, strict=True)
        ]
    return found


def newest_online(feature: FeatureInput, online: OnlineFeatures) -> datetime | None:
    """The newest event timestamp that is online for the feature's view, among the entities asked for."""
    events = [event for event in online.times[feature.view].event if event is not None]
    return _EPOCH + timedelta(microseconds=max(events)) if events else None


def _absent(name: str, at: datetime, candidates: int, newest: datetime | None) -> str:
    found = f"the newest there is of {iso(newest)}" if newest else "nothing of it is there"
    return f"{name} is online, and fresh at {iso(at)}, for none of {candidates} entities: {found}"


def _checked(artifact: Artifact, answer: Answer, count: int) -> Answer:
    if answer.version != artifact.version:
        raise _failed(artifact, f"version {answer.version or 'unknown'} answered, not {artifact.version}")
    if len(answer.predictions) != count:
        raise _failed(artifact, f"{count} instances got {len(answer.predictions)} predictions")
    return answer


def _failed(artifact: Artifact, what: str) -> DeployError:
    return DeployError(
        f"{artifact.model} version {artifact.version} did not pass: {what}",
        model=artifact.model,
        version=artifact.version,
    )


def _counts(event: int | None, created: int | None, moment: int, least: int | None) -> bool:
    if event is None or event > moment or (created is not None and created > moment):
        return False
    return least is None or event >= least


def _at_places(columns: Columns, places: Sequence[int]) -> Columns:
    return {name: [column[place] for place in places] for name, column in columns.items()}


def _counted(feature: Mapping[str, Any]) -> Any:
    return feature.get("value") if feature.get("status") in _COUNTS else None


def _not_ready(artifact: Artifact, problems: Sequence[str], remedy: str) -> DeployError:
    return DeployError(
        _listed(
            f"{artifact.model} version {artifact.version} was not deployed: its features are not online",
            problems,
        ),
        where="the online store, for the newest entities of the training set",
        not_affected="whatever serves now: nothing was changed",
        remedy=f"{remedy}; then run the deployment again",
        model=artifact.model,
        version=artifact.version,
    )


def _listed(head: str, problems: Sequence[str]) -> str:
    more = [f"… and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "\n  ".join([f"{head}:", *problems[:_SHOWN], *more])


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(_pairs(row))


def _pairs(row: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}={value}" for name, value in row.items())


def _plain(row: Row) -> Row:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    return (
        iso(value) if isinstance(value, datetime) else value.decode() if isinstance(value, bytes) else value
    )

"""May this version be deployed? Its metrics against thresholds, and against the serving model's on the same rows.

A pipeline run ends in a result document (``models/<model>/runs/<run>.json``); of it the gate reads ``version``,
``metrics``, ``null_inputs``: the inputs that were null in every training row, and ``baseline``: the version that served
when the run started, its metrics on the same held-out rows, and how many of these rows it was trained on
(``seen_test_rows``), or null where nothing served.

A version with a null input is rejected whatever its metrics: it has learnt nothing of a feature that serving would give
it, and such a feature is nearly always a mistake (a ttl that is too short, rows older than the feature).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provender.errors import SpecError
from provender.specs.models import ModelSpec
from provender.specs.models.spec import GateRule
from provender.specs.problems import did_you_mean

_SLACK = 1e-9
"""0.7 and 0.69 are 0.01 apart, in binary a little more."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition of the gate."""

    metric: str
    candidate: float
    serving: float | None
    """None where nothing serves."""
    condition: str
    """In words a person reads, numbers included."""
    holds: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of a version."""

    version: str
    baseline: str | None
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()
    null_inputs: tuple[str, ...] = ()
    """Inputs of the model that were null in every training row."""

    @property
    def is_accepted(self) -> bool:
        return not self.null_inputs and all(each.holds for each in self.comparisons)

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        broken = [f"{name} is null in every training row" for name in self.null_inputs]
        broken += [f"{each.metric} {_number(each.candidate)}: {each.condition}" for each in self.failed]
        if broken:
            return f"rejected, because of {'; '.join(broken)}"
        return "accepted: every condition holds" if self.comparisons else "accepted: the gate has no rules"

    @property
    def failed(self) -> list[Comparison]:
        return [each for each in self.comparisons if not each.holds]

    def table(self) -> str:
        """The comparison as a Markdown table, columns aligned, with the verdict under it."""
        head = (
            "metric",
            f"candidate {self.version[:8]}",
            f"serving {(self.baseline or 'nothing')[:8]}",
            "condition",
            "",
        )
        rows = [
            (c.metric, _number(c.candidate), _number(c.serving), c.condition, "ok" if c.holds else "FAILS")
            for c in self.comparisons
        ]
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines = [_line(head, widths), _line(["-" * width for width in widths], widths)]
        lines += [_line(row, widths) for row in rows]
        return "\n".join([*lines, "", *self.notes, self.reason])


def judge(spec: ModelSpec, result: Mapping[str, Any], serving: str | None) -> Verdict:
    """What ``spec.gate`` says of the run that ended in ``result``. ``serving``: the version that serves now.

    A metric that is not a number fails every condition. Raises :class:`SpecError` for a rule about a metric that
    the evaluation does not measure.
    """
    metrics, baseline = result["metrics"], result.get("baseline")
    comparisons = tuple(
        comparison for rule in spec.gate for comparison in _compare(spec, rule, metrics, baseline or {})
    )
    notes = tuple(_notes(baseline, result.get("test") or {}, serving))
    null_inputs = tuple(result.get("null_inputs") or ())
    return Verdict(
        result["version"], baseline["version"] if baseline else None, comparisons, notes, null_inputs
    )


def _compare(
    spec: ModelSpec, rule: GateRule, metrics: Mapping[str, float], baseline: Mapping[str, Any]
) -> Iterator[Comparison]:
    candidate = _metric(spec, rule.metric, metrics)
    serving = _float(baseline["metrics"].get(rule.metric)) if baseline else None
    if rule.min is not None:
        yield Comparison(
            rule.metric, candidate, serving, f"at least {_number(rule.min)}", candidate >= rule.min
        )
    if rule.max is not None:
        yield Comparison(
            rule.metric, candidate, serving, f"at most {_number(rule.max)}", candidate <= rule.max
        )
    for limit, sign, word in ((rule.max_drop, 1, "less"), (rule.max_rise, -1, "more")):
        if limit is None:
            continue
        words = f"at most {_number(limit)} {word} than the serving model's"
        # Nothing to compare with holds: the first model has to get through on thresholds.
        holds = not baseline or (serving is not None and sign * (serving - candidate) <= limit + _SLACK)
        yield Comparison(
            rule.metric, candidate, serving, words if baseline else f"{words} (none serves)", holds
        )


def _metric(spec: ModelSpec, name: str, metrics: Mapping[str, float]) -> float:
    if name not in metrics:
        raise SpecError(
            f"the gate of {spec.name} asks for {name!r}, which the evaluation does not measure",
            where=f"models/{spec.name}.yaml, gate",
            not_affected="whatever serves now; the trained version is kept",
            remedy=did_you_mean(name, metrics),
        )
    value = _float(metrics[name])
    return math.nan if value is None else value


def _notes(baseline: Mapping[str, Any] | None, test: Mapping[str, Any], serving: str | None) -> Iterator[str]:
    compared = baseline["version"] if baseline else None
    if compared != serving:
        yield f"note: {serving or 'nothing'} serves now, and was not what the run compared with"
    seen = baseline.get("seen_test_rows") if baseline else None
    if seen:
        of = f" of the {test['rows']}" if "rows" in test else ""
        yield f"note: the serving model was trained on {seen}{of} held-out rows, so its score flatters it"


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"

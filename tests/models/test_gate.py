"""A model gets through the gate, or the table says why it does not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from provender.errors import SpecError
from provender.model_registry.gate import Verdict, judge
from provender.specs.models import ModelSpec


def spec(*rules: dict[str, Any]) -> ModelSpec:
    document = {
        "name": "late",
        "owner": "travel",
        "entities": {"uri": "rows.parquet"},
        "label": "is_late",
        "features": ("carrier_day:delay",),
        "gate": rules,
    }
    return ModelSpec.model_validate(document)


def verdict(
    metrics: dict[str, float], baseline: dict[str, float] | None = None, *rules: dict[str, Any]
) -> Verdict:
    served = {"version": "a" * 16, "metrics": baseline, "seen_test_rows": 0} if baseline else None
    result = {"version": "b" * 16, "metrics": metrics, "baseline": served, "test": {"rows": 100}}
    return judge(spec(*rules), result, "a" * 16 if baseline else None)


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ({"min": 0.6}, 0.6, True),
        ({"min": 0.6}, 0.59, False),
        ({"max": 0.6}, 0.6, True),
        ({"max": 0.6}, 0.61, False),
        ({"min": 0.6, "max": 0.9}, 0.95, False),
        ({"min": 0.6}, math.nan, False),
        ({"max_drop": 0.01}, math.nan, False),
        ({"max_drop": 0.01}, 0.69, True),
        ({"max_drop": 0.01}, 0.68, False),
        ({"max_drop": 0.01}, 0.99, True),
        ({"max_rise": 0.01}, 0.71, True),
        ({"max_rise": 0.01}, 0.72, False),
    ],
)
def test_a_rule_is_a_limit_or_a_comparison_with_what_serves(
    rule: dict[str, float], value: float, holds: bool
) -> None:
    judged = verdict({"score": value}, {"score": 0.7}, {"metric": "score", **rule})
    assert judged.is_accepted is holds


def test_the_first_model_has_nothing_to_be_compared_with() -> None:
    judged = verdict({"score": 0.1}, None, {"metric": "score", "max_drop": 0.0})
    assert judged.is_accepted
    assert "none serves" in judged.table()


def test_a_gate_without_rules_lets_everything_through() -> None:
    assert verdict({"score": 0.1}).is_accepted


def test_the_reason_names_what_failed_and_the_numbers() -> None:
    rules = ({"metric": "roc_auc", "min": 0.6}, {"metric": "log_loss", "max_rise": 0.01})
    judged = verdict({"roc_auc": 0.55, "log_loss": 0.5}, {"roc_auc": 0.7, "log_loss": 0.4}, *rules)
    assert judged.reason == (
        "rejected, because of roc_auc 0.55: at least 0.6; "
        "log_loss 0.5: at most 0.01 more than the serving model's"
    )


def test_the_table_shows_both_models_side_by_side() -> None:
    judged = verdict({"roc_auc": 0.71}, {"roc_auc": 0.7}, {"metric": "roc_auc", "min": 0.6, "max_drop": 0.02})
    head, line, first, second, *_ = judged.table().splitlines()
    assert {len(row) for row in (head, line, first, second)} == {len(head)}
    assert [cell.strip() for cell in head.split("|")[1:4]] == [
        "metric",
        "candidate bbbbbbbb",
        "serving aaaaaaaa",
    ]
    assert [cell.strip() for cell in first.split("|")[1:6]] == [
        "roc_auc",
        "0.71",
        "0.7",
        "at least 0.6",
        "ok",
    ]
    assert "at most 0.02 less than the serving model's" in second
    assert judged.table().endswith("accepted: every condition holds")


def test_a_metric_nobody_measures_is_an_error_and_not_a_rejection() -> None:
    with pytest.raises(SpecError) as raised:
        verdict({"roc_auc": 0.7}, None, {"metric": "roc_acu", "min": 0.6})
    assert "did you mean 'roc_auc'" in str(raised.value)


def test_a_metric_the_serving_model_lacks_does_not_hold() -> None:
    assert not verdict({"b": 1.0}, {"a": 1.0}, {"metric": "b", "max_drop": 0.1}).is_accepted


def test_a_flattering_or_outdated_comparison_is_noted() -> None:
    baseline = {"version": "a" * 16, "metrics": {"score": 1.0}, "seen_test_rows": 40}
    result = {"version": "b" * 16, "metrics": {"score": 1.0}, "baseline": baseline, "test": {"rows": 100}}
    table = judge(spec(), result, "c" * 16).table()
    assert "trained on 40 of the 100 held-out rows" in table
    assert "cccccccccccccccc serves now" in table


def test_an_input_that_was_null_in_every_training_row_is_named_and_rejects_the_version() -> None:
    result = {
        "version": "b" * 16,
        "metrics": {"score": 0.9},
        "null_inputs": ["carrier_day__delay"],
        "baseline": None,
    }
    judged = judge(spec({"metric": "score", "min": 0.5}), result, None)
    assert not judged.is_accepted
    assert judged.reason == "rejected, because of carrier_day__delay is null in every training row"
    assert judged.reason in judged.table()

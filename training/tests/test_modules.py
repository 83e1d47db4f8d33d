"""What the modules' estimators make of values as serving brings them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow import GRADIENT_BOOSTING, LINEAR
from provender_training import canonical
from provender_training.modules import build

from provender.errors import SpecError
from provender.model_registry.artifact import Column
from provender.model_registry.inputs import model_input

COLUMNS = (
    Column("text", "STRING"),
    Column("number", "DOUBLE"),
    Column("flag", "BOOL"),
    Column("at", "TIMESTAMP"),
    Column("count", "INT64"),
)
NAMES = [column.name for column in COLUMNS]
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int = 400) -> dict[str, list[Any]]:
    return {
        "text": [None if n % 11 == 0 else f"t{n % 5}" for n in range(count)],
        "number": [None if n % 7 == 0 else n / 10 for n in range(count)],
        "flag": [None if n % 13 == 0 else n % 2 == 0 for n in range(count)],
        "at": [None if n % 17 == 0 else START + timedelta(hours=n) for n in range(count)],
        "count": list(range(count)),
    }


def fitted(module: str, mode: str, columns: Sequence[Column] = COLUMNS) -> Any:
    given = rows()
    target = np.asarray([float(n % 5 == 0 or n % 3 == 0) for n in range(400)])
    estimator = build(module, columns, mode, {"max_iter": 20} if module == GRADIENT_BOOSTING else {})
    return estimator.fit(model_input(given, [column.name for column in columns]), target)


@pytest.mark.parametrize("module", [GRADIENT_BOOSTING, LINEAR])
@pytest.mark.parametrize("mode", ["classification", "regression"])
@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS[:1], COLUMNS[1:]])
def test_a_saved_model_predicts_as_it_did(module: str, mode: str, columns: Sequence[Column]) -> None:
    model = fitted(module, mode, columns)
    again = canonical.load(canonical.dump(model))
    names = [column.name for column in columns]
    unseen = {**rows(20), "text": ["never seen", None] * 10}
    predicted = again.predict(model_input(unseen, names))
    assert predicted.tolist() == model.predict(model_input(unseen, names)).tolist()
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize("module", [GRADIENT_BOOSTING, LINEAR])
def test_one_row_is_predicted_as_among_many(module: str) -> None:
    model, given = fitted(module, "classification"), rows(10)
    together = model.predict_proba(model_input(given, NAMES))[:, 1]
    for place in range(10):
        alone = model_input({name: [values[place]] for name, values in given.items()}, NAMES)
        assert model.predict_proba(alone)[0, 1] == pytest.approx(together[place], abs=1e-12)


def test_a_row_of_nulls_is_predicted() -> None:
    for module in (GRADIENT_BOOSTING, LINEAR):
        nothing = model_input({name: [None] for name in NAMES}, NAMES)
        assert 0 <= fitted(module, "classification").predict_proba(nothing)[0, 1] <= 1


def test_more_categories_than_the_trees_have_bins_are_grouped() -> None:
    many = model_input({"text": [f"t{n % 900}" for n in range(3000)]}, ["text"])
    model = build(GRADIENT_BOOSTING, COLUMNS[:1], "classification", {"max_iter": 5})
    model.fit(many, np.arange(3000) % 2)
    assert len(model.predict(many)) == 3000


def test_bytes_are_refused_by_name() -> None:
    with pytest.raises(SpecError, match="photo is of type BYTES"):
        build(GRADIENT_BOOSTING, [Column("photo", "BYTES")], "classification", {})


def test_a_parameter_that_is_none_is_refused() -> None:
    with pytest.raises(SpecError, match="max_itre"):
        build(GRADIENT_BOOSTING, COLUMNS, "classification", {"max_itre": 3})


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(SpecError, match="no_such_module"):
        build("no_such_module", COLUMNS, "classification", {})


def test_a_module_without_build_is_refused() -> None:
    with pytest.raises(SpecError, match="no function 'build'"):
        build("json", COLUMNS, "classification", {})


def test_a_module_of_ones_own_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_my_own.py").write_text(
        "from sklearn.dummy import DummyClassifier\n"
        "def build(inputs, mode, parameters):\n"
        "    return DummyClassifier(strategy='prior')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = build("of_my_own", COLUMNS, "classification", {}).fit(np.zeros((4, 1)), np.asarray([0, 0, 0, 1]))
    assert canonical.load(canonical.dump(model)).predict_proba([[0]])[0, 1] == 0.25


class OfNoList:
    """No type that serving knows."""

    def fit(self, X: Any, y: Any) -> OfNoList:  # noqa: N803
        self.seen_ = len(y)
        return self


def test_a_model_that_serving_would_not_load_is_not_written() -> None:
    with pytest.raises(SpecError, match=r"not trusted: .*OfNoList"):
        canonical.dump(OfNoList().fit([], [1]))

from __future__ import annotations

from provender.training_sets.diff import Cause, Difference, diff
from provender.training_sets.folder import TrainingSet
from tests.feast.conftest import version
from tests.training_sets.conftest import Builder

ROWS = ((1, 20, 0), (1, 90, 1), (2, 20, 0))


def differ(builder: Builder, a: TrainingSet, b: TrainingSet) -> Difference:
    return diff(builder.settings, a, b)


def test_late_and_corrected_versions_are_named_with_their_rows(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    a = builder.build(*ROWS)
    builder.shop.ingest(version(2, 20, 5, 6), version(1, 12, 0, 15), version(3, 1, 0), recorded=600)
    b = builder.build(*ROWS)
    found = differ(builder, a, b)
    assert found.causes == {Cause.DATA} and found.has_differences
    rows = {row.entity["driver_id"]: row for row in found.changed(10)}
    late, corrected = rows[2], rows[1]
    assert late.features["driver_trips__trips"] == (None, 20)
    assert [(v.kind, v.keys) for v in late.versions] == [("late", {"driver_id": 2})]
    assert corrected.features["driver_trips__trips"] == (10, 12)
    assert [(v.kind, v.keys) for v in corrected.versions] == [("corrected", {"driver_id": 1})]
    text = found.text()
    assert (
        "explains 3 rows" in text
        and "because late in driver_trips: driver_id=2; true 2026-11-22T00:05:00Z" in text
    )


def test_only_versions_that_a_row_could_know_are_named(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    a = builder.build((1, 20, 0), (1, 90, 1))
    builder.shop.ingest(version(1, 12, 0, 60), recorded=600)
    found = differ(builder, a, builder.build((1, 20, 0), (1, 90, 1)))
    assert [row.features["driver_trips__trips"] for row in found.changed(9)] == [(10, 12)]


def test_a_withdrawn_row_is_named(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), version(1, 11, 10), recorded=500)
    a = builder.build((1, 20, 0))
    builder.shop.ingest(version(1, None, 10, 15, deleted=True), recorded=600)
    (row,) = differ(builder, a, builder.build((1, 20, 0))).changed(9)
    assert row.features["driver_trips__trips"] == (11, 10)
    assert [version.kind for version in row.versions] == ["withdrawn"]


def test_a_recomputed_version_is_put_down_to_the_definition(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    a = builder.build((1, 20, 0))
    builder.shop.ingest(version(1, 13, 0), recorded=600)
    found = differ(builder, a, builder.build((1, 20, 0)))
    assert found.causes == {Cause.DEFINITIONS}


def test_another_ttl_is_a_definition(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    rows = ((1, 20, 0), (1, 119, 1))
    a = builder.build(*rows)
    path = "views/trips_views.py"
    text = (builder.shop.repo / path).read_text()
    builder.shop.write(path, text.replace("ttl=timedelta(hours=2)", "ttl=timedelta(hours=1)"))
    from provender.feast.apply import apply

    apply(builder.shop.repo)
    found = differ(builder, a, builder.build(*rows))
    assert found.causes == {Cause.DEFINITIONS}
    assert "ttl of driver_trips 2:00:00 → 1:00:00" in found.text()


def test_other_entity_rows_are_shown(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    a, b = builder.build(*ROWS), builder.build(*ROWS[:2], (1, 95, 0), ROWS[0])
    found = differ(builder, a, b)
    assert found.causes == {Cause.ENTITIES}
    assert found.pairs.only_before.num_rows == 1  # driver 2
    assert found.pairs.only_after.num_rows == 2  # the new row, and the second of two equal ones
    assert "3 → 4 rows" in found.text()


def test_other_features_are_a_definition_and_equal_sets_have_no_difference(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    a = builder.build(*ROWS)
    b = builder.build(*ROWS, features=("driver_trips:trips",))
    assert "without driver_trips:rate" in differ(builder, a, b).text()
    builder.shop.ingest(recorded=600)
    c = builder.build(*ROWS)
    assert c.uri != a.uri
    found = differ(builder, a, c)
    assert not found.has_differences and not found.causes

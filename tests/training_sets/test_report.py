from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pyarrow as pa

from provender.storage import local_path
from provender.training_sets.build import make_report
from provender.training_sets.join import joined
from provender.training_sets.report import null_features, things_to_look_at
from provender.training_sets.summary import Summary, summarize
from tests.feast.conftest import version
from tests.training_sets.conftest import Builder


def summary_of(builder: Builder, *rows: tuple[int, float, int]) -> Summary:
    built = builder.build(*rows)
    inputs = built.lockfile.inputs
    return summarize(inputs, joined(builder.settings, built.entities(), inputs))


def test_ages_nulls_and_rows_without_match_are_counted(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), version(2, None, 0), recorded=500)
    found = summary_of(builder, (1, 10, 0), (1, 30, 1), (2, 20, 1), (9, 20, 1))
    (view,) = found.views
    assert (found.rows, found.without_any_match, view.unmatched) == (4, 1, 1)
    assert view.ages is not None
    assert (view.ages.least, view.ages.median, view.ages.greatest) == (600.0, 1200.0, 1800.0)
    trips = found.features[0]
    assert (trips.name, trips.nulls, trips.distinct, trips.mean) == ("driver_trips__trips", 2, 1, 10.0)
    assert found.label is not None and found.label.classes == (("0", 1), ("1", 3))
    assert [(day.rows, day.label_mean) for day in found.days] == [(4, 0.75)]


def test_what_is_likely_a_mistake_is_said(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), version(2, None, 0), recorded=500)
    said = " ".join(things_to_look_at(summary_of(builder, (1, 10, 1), (9, 20, 1))))
    assert "tip is 1 in every row" in said
    assert "driver_trips has nothing for 50.0% of the rows" in said and "at most 2 h old" in said
    said = " ".join(things_to_look_at(summary_of(builder, (2, 10, 0), (2, 20, 1), (2, 30, 1), (1, 10, 1))))
    assert "driver_trips__trips is null in 75.0% of the rows" in said


def test_a_feature_that_is_null_in_every_row_is_named(builder: Builder) -> None:
    builder.shop.ingest(version(1, None, 0), version(2, None, 0), recorded=500)
    summary = summary_of(builder, (1, 10, 1), (2, 20, 0))
    assert null_features(summary)[0] == "driver_trips__trips"
    assert "driver_trips__trips is null in every one of the 2 rows." in things_to_look_at(summary)
    unmatched = summary_of(builder, (9, 10, 1), (8, 20, 0))
    assert set(null_features(unmatched)) == {feature.name for feature in unmatched.features}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]


def test_the_page_is_one_file_without_scripts_that_is_well_formed(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0, city="<script>alert(1)</script>"), recorded=500)
    features = ("driver_trips:trips", "driver_trips:city")
    built = builder.build((1, 10, 0), (1, 30, 1), (9, 20, 1), features=features)
    text = local_path(built.report_uri).read_text()
    page = _Page()
    page.feed(text)
    assert not page.links and "script" not in page.tags and "svg" in page.tags
    assert "&lt;script&gt;alert" in text
    ElementTree.fromstring(
        text.split("\n", 1)[1]
        .replace('<meta charset="utf-8">', "")
        .replace('<meta name="viewport" content="width=device-width, initial-scale=1">', "")
    )


def test_a_report_that_is_gone_is_made_anew(builder: Builder) -> None:
    builder.shop.ingest(version(1, 10, 0), recorded=500)
    built = builder.build((1, 10, 0), (9, 20, 1))
    path = local_path(built.report_uri)
    before = path.read_bytes()
    path.unlink()
    builder.shop.ingest(version(1, 11, 5), recorded=600)
    assert make_report(builder.settings, built) == built.report_uri
    assert path.read_bytes() == before


def test_times_without_rows_and_features_of_text_have_a_summary(builder: Builder) -> None:
    builder.shop.ingest(recorded=500)
    built = builder.build((1, 10, 0), features=("driver_trips:city",), label=None)
    inputs = built.lockfile.inputs
    found = summarize(inputs, joined(builder.settings, built.entities(), inputs))
    assert found.without_any_match == 1 and found.label is None and found.features[0].commonest == ()
    empty = joined(builder.settings, built.entities(), inputs).slice(0, 1)
    empty = empty.set_column(1, "event_timestamp", pa.nulls(1, pa.timestamp("us", tz="UTC")))
    assert summarize(inputs, empty).days == ()

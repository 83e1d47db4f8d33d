from __future__ import annotations

import pytest

from provender.intervals import Cadence, Partition
from provender.specs.raw_uri import complaints, expand

GOOD = [
    ("raw/{partition}.csv", Cadence.HOURLY, "2026-11-22T07", "raw/2026-11-22T07.csv"),
    ("gs://b/{start:%Y/%m/%d}/*.csv", Cadence.DAILY, "2026-11-22", "gs://b/2026/11/22/*.csv"),
    ("file:///r/{start:%Y%m%d}-{end:%Y%m%d}", Cadence.WEEKLY, "2026-11-16", "file:///r/20261116-20261123"),
    ("{start:%Y-%m}.json", Cadence.MONTHLY, "2026-12", "2026-12.json"),
]


@pytest.mark.parametrize(("template", "cadence", "key", "expected"), GOOD)
def test_placeholders_become_the_partitions_key_and_bounds(
    template: str, cadence: Cadence, key: str, expected: str
) -> None:
    assert list(complaints(template, cadence)) == []
    assert expand(template, Partition.parse(cadence, key)) == expected


BAD = [
    ("", "empty"),
    ("a\nb{partition}", "control characters"),
    ("s3://b/{partition}", "cannot read s3://"),
    ("{partition", "expected '}'"),
    ("partition}", "Single '}'"),
    ("{}", "unknown placeholder {}"),
    ("{day}", "unknown placeholder {day}"),
    ("{partition[0]}", "unknown placeholder {partition[0]}"),
    ("{start.__class__:%Y}", "unknown placeholder {start.__class__}"),
    ("{partition!r}", "{partition!r} is not a placeholder"),
    ("{partition:>20}", "{partition} takes no format"),
    ("{start}", "{start} needs a format"),
    ("{start:%c}", "{start} needs a format"),
    ("{start:{end}}", "{start} needs a format"),
    ("{start:%m-%d}", "would read the same files"),
]


@pytest.mark.parametrize(("template", "expected"), BAD)
def test_a_template_that_cannot_be_is_explained(template: str, expected: str) -> None:
    assert any(expected in what and remedy for what, remedy in complaints(template, Cadence.DAILY))


@pytest.mark.parametrize(
    ("template", "cadence"),
    [
        ("{start:%Y-%m-%d}", Cadence.HOURLY),
        ("{start:%Y-%m}", Cadence.WEEKLY),
        ("{start:%m}", Cadence.MONTHLY),
        ("{start:%d}", Cadence.DAILY),
    ],
)
def test_a_template_too_coarse_for_its_cadence_is_refused(template: str, cadence: Cadence) -> None:
    assert any("would read the same files" in what for what, _ in complaints(template, cadence))

"""Where a partition's raw files are: the placeholders of ``raw.uri``.

``{partition}`` is the partition's key, ``{start:%Y/%m/%d}`` and ``{end:%Y%m%d}`` are its bounds, in the time
zone of the source.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from provender.intervals import Cadence, Partition
from provender.specs.problems import did_you_mean

SCHEMES = ("file", "gs")
NAMES = ("partition", "start", "end")
_TIME_FORMAT = re.compile(r"(?:%[YmdHMSjy]|[^%{}])+")

Complaint = tuple[str, str]
"""What is wrong, and the remedy."""


def expand(template: str, partition: Partition) -> str:
    """The URI (file or glob) of ``partition``'s raw files; relative ones stay relative to the feature repo.

    ``template`` is a checked ``raw.uri``. Only dates and keys made by :mod:`provender.intervals` are put in,
    so the result cannot leave the folder that the template names.
    """
    return template.format(partition=partition.key, start=partition.local_start, end=partition.local_end)


def complaints(template: str, cadence: Cadence | None) -> Iterator[Complaint]:
    """What is wrong with ``template``; without a ``cadence`` it is not checked that partitions differ."""
    if not template or not template.isprintable():
        yield "raw.uri: empty, or with control characters in it", "write a path, file:// or gs:// URI"
        return
    scheme = urlsplit(template).scheme
    if "://" in template and scheme not in SCHEMES:
        yield f"raw.uri: cannot read {scheme}://", f"use a path or {' or '.join(f'{s}://' for s in SCHEMES)}"
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        yield f"raw.uri: {error}", "close each {placeholder}"
        return
    wrong = [complaint for field in fields for complaint in _field_complaints(*field[1:])]
    yield from wrong
    if fields and not wrong and cadence is not None:
        yield from _same_uri(template, cadence)


def _field_complaints(
    name: str | None, time_format: str | None, conversion: str | None
) -> Iterator[Complaint]:
    if name not in NAMES:
        yield f"raw.uri: unknown placeholder {{{name}}}", did_you_mean(name or "", NAMES)
    elif conversion:
        yield (
            f"raw.uri: {{{name}!{conversion}}} is not a placeholder",
            f"write {{{name}}} without !{conversion}",
        )
    elif name == "partition" and time_format:
        yield "raw.uri: {partition} takes no format", "use {start:%Y/%m/%d} for a date of another form"
    elif name != "partition" and not _TIME_FORMAT.fullmatch(time_format or ""):
        yield (
            f"raw.uri: {{{name}}} needs a format of %Y %m %d %H %M %S %j, not {time_format!r}",
            f"write it like {{{name}:%Y/%m/%d}}",
        )


def _same_uri(template: str, cadence: Cadence) -> Iterator[Complaint]:
    base = datetime(2020, 1, 6, tzinfo=UTC)
    moments = [base + timedelta(days=days, hours=hours) for days, hours in ((0, 0), (0, 1), (1, 0), (7, 0))]
    moments += [
        base.replace(day=2, month=3),
        base.replace(month=2),
        base.replace(year=2021),
        base.replace(year=2025),
    ]
    seen: dict[str, Partition] = {}
    for partition in sorted({Partition.holding(cadence, moment) for moment in moments}):
        uri = expand(template, partition)
        if uri in seen:
            what = f"raw.uri: partitions {seen[uri].key} and {partition.key} would read the same files"
            yield what, "name the whole interval, for example with {partition}"
            return
        seen[uri] = partition

"""The report for people: one HTML file that needs nothing beside it, light or dark as its reader likes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from html import escape
from pathlib import Path

from provender.intervals import iso
from provender.training_sets.charts import columns, curve, number, percent, share_bar, small_histogram
from provender.training_sets.lockfile import Inputs, Lockfile
from provender.training_sets.summary import Ages, FeatureSummary, LabelSummary, Summary, ViewSummary

_STYLE = Path(__file__).with_name("report.css")
_MANY_NULLS = 0.5
_MANY_UNMATCHED = 0.2
_RARE_CLASS = 0.01


def render(lockfile: Lockfile, summary: Summary) -> str:
    """The page."""
    inputs = lockfile.inputs
    sections = [
        *_look_at(summary),
        _over_time(summary),
        _label(summary),
        _views(summary),
        _features(summary),
        _origin(lockfile),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Training set {escape(inputs.name)}</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{_head(lockfile, summary)}{''.join(sections)}</main></body></html>\n"
    )


def things_to_look_at(summary: Summary) -> list[str]:
    """What is likely to be a mistake, in sentences."""
    rows = summary.rows
    found = []
    label = summary.label
    if label and label.nulls:
        found.append(f"{number(label.nulls)} rows have no label {label.name}.")
    if label and len(label.classes) == 1:
        found.append(f"The label {label.name} is {label.classes[0][0]} in every row.")
    for value, count in label.classes if label else ():
        if count < _RARE_CLASS * rows:
            found.append(f"Only {percent(count, rows)} of the rows have the label {value}.")
    for view in summary.views:
        if view.unmatched > _MANY_UNMATCHED * rows:
            share = percent(view.unmatched, rows)
            found.append(f"{view.log.view} has nothing for {share} of the rows: {_why_unmatched(view)}.")
    matched = {view.log.view for view in summary.views if view.unmatched <= _MANY_UNMATCHED * rows}
    found += [f"{name} is null in every one of the {number(rows)} rows." for name in null_features(summary)]
    for feature in summary.features:
        if feature.missing == rows:
            continue
        if feature.nulls > _MANY_NULLS * rows and feature.reference.partition(":")[0] in matched:
            found.append(f"{feature.name} is null in {percent(feature.nulls, rows)} of the rows.")
        elif feature.distinct == 1:
            found.append(f"{feature.name} has one value only.")
    return found


def null_features(summary: Summary) -> list[str]:
    """Features that are null (or NaN) in every row: a model can learn nothing of them."""
    return [feature.name for feature in summary.features if summary.rows and feature.missing == summary.rows]


def _why_unmatched(view: ViewSummary) -> str:
    limit = f"no value was known then that is at most {_duration(view.log.ttl_seconds)} old (the view's ttl)"
    return limit if view.log.ttl_seconds else "no value was known then"


def _head(lockfile: Lockfile, summary: Summary) -> str:
    inputs = lockfile.inputs
    nulls = sum(feature.nulls for feature in summary.features)
    tiles = [
        ("Rows", number(summary.rows), ""),
        ("Features", number(len(summary.features)), f"of {len(summary.views)} views"),
        (
            "Rows without any match",
            number(summary.without_any_match),
            percent(summary.without_any_match, summary.rows),
        ),
        ("Values that are null", percent(nulls, summary.rows * len(summary.features)), ""),
    ]
    cells = "".join(
        f'<div class="tile"><dt>{t}</dt><dd>{v} <small>{s}</small></dd></div>' for t, v, s in tiles
    )
    return (
        f'<header><h1>{escape(inputs.name)}</h1><p class="quiet">Training set <span class="id">{lockfile.id}</span>, '
        f"rows from {summary.first} to {summary.last} UTC, built {lockfile.created:%Y-%m-%d %H:%M} UTC; features as "
        f'{"known at" if inputs.as_known else "true at"} each row’s time</p></header><dl class="tiles">{cells}</dl>'
    )


def _look_at(summary: Summary) -> Iterator[str]:
    found = things_to_look_at(summary)
    if found:
        items = "".join(f"<li>{escape(each)}</li>" for each in found)
        yield f'<section class="look"><h2>Worth a look</h2><ul>{items}</ul></section>'


def _over_time(summary: Summary) -> str:
    labels = [day.start for day in summary.days]
    per = "month" if labels and len(labels[0]) == 7 else "day"
    charts = [
        f"<h2>Rows per {per}</h2>",
        columns([day.rows for day in summary.days], labels, f"Rows per {per}"),
    ]
    means = [day.label_mean for day in summary.days]
    if summary.label and any(mean is not None for mean in means):
        title = f"Mean of {summary.label.name} per {per}"
        charts += [f"<h2>{escape(title)}</h2>", curve(means, labels, title)]
    return f"<section>{''.join(charts)}</section>"


def _label(summary: Summary) -> str:
    label = summary.label
    if label is None:
        return ""
    body = (
        _classes(label, summary.rows)
        if label.classes
        else small_histogram(label.values, f"Values of {label.name}")
    )
    missing = f'<p class="quiet">{number(label.nulls)} rows have none.</p>' if label.nulls else ""
    return f"<section><h2>Label: {escape(label.name)}</h2>{missing}{body}</section>"


def _classes(label: LabelSummary, rows: int) -> str:
    lines = []
    for value, count in label.classes:
        share = percent(count, rows)
        lines.append(
            f'<tr><th scope="row">{escape(value)}</th><td>{share_bar(count / rows, f"{share} of the rows")}</td>'
            f'<td class="number">{number(count)}</td><td class="number">{share}</td></tr>'
        )
    return _table(("Class", "", "#Rows", "#Share"), lines)


def _views(summary: Summary) -> str:
    lines = [_view_line(view, summary.rows) for view in summary.views]
    heads = (
        "View",
        "#No match",
        "#Age: least",
        "#median",
        "#9 in 10 below",
        "#greatest",
        "Ages",
        "#Limit (ttl)",
    )
    return (
        '<section><h2>Age at join time</h2><p class="quiet">How long before each row’s time the value it got had been '
        f"true.</p>{_table(heads, lines)}</section>"
    )


def _view_line(view: ViewSummary, rows: int) -> str:
    limit = _duration(view.log.ttl_seconds) if view.log.ttl_seconds else "none"
    cells = _age_cells(view.ages, f"Ages of {view.log.view}")
    return (
        f'<tr><th scope="row">{escape(view.log.view)}</th><td class="number">{percent(view.unmatched, rows)}</td>'
        f'{cells}<td class="number">{limit}</td></tr>'
    )


def _age_cells(ages: Ages | None, title: str) -> str:
    if ages is None:
        return '<td class="number">–</td>' * 4 + "<td></td>"
    shown = [ages.least, ages.median, ages.p90, ages.greatest]
    cells = "".join(f'<td class="number">{_duration(seconds)}</td>' for seconds in shown)
    return f"{cells}<td>{small_histogram(ages.histogram, title)}</td>"


def _features(summary: Summary) -> str:
    lines = []
    for view in summary.views:
        of_view = [f for f in summary.features if f.name in view.log.columns]
        lines.append(f'<tr class="group"><th colspan="7" scope="rowgroup">{escape(view.log.view)}</th></tr>')
        lines += [_feature_line(feature, summary.rows) for feature in of_view]
    heads = ("Feature", "Type", "#Null", "", "#Different values", "#Mean", "Values")
    return f"<section><h2>Features</h2>{_table(heads, lines)}</section>"


def _feature_line(feature: FeatureSummary, rows: int) -> str:
    mean = number(feature.mean) if feature.mean is not None else ""
    common = ", ".join(f"{value} ({percent(count, rows)})" for value, count in feature.commonest)
    values = small_histogram(feature.values, f"Values of {feature.name}: {_ends(feature)}") or escape(common)
    return (
        f'<tr><th scope="row">{escape(feature.reference.partition(":")[2])}</th><td class="quiet">{feature.type}</td>'
        f'<td class="number">{percent(feature.nulls, rows)}</td>'
        f"<td>{share_bar(feature.nulls / rows, f'{percent(feature.nulls, rows)} null')}</td>"
        f'<td class="number">{number(feature.distinct)}</td><td class="number">{mean}</td><td>{values}</td></tr>'
    )


def _ends(feature: FeatureSummary) -> str:
    edges = feature.values.edges if feature.values else ()
    return f"from {number(edges[0])} to {number(edges[-1])}" if edges else ""


def _origin(lockfile: Lockfile) -> str:
    inputs = lockfile.inputs
    lines = [
        f'<tr><th scope="row">{escape(log.view)}</th><td>{escape(f"{log.source}.{log.table}")}</td>'
        f"<td>{iso(log.recorded_up_to)}</td><td><code>{log.definition[:12]}</code></td></tr>"
        for log in inputs.logs
    ]
    facts = "".join(
        f'<tr><th scope="row">{name}</th><td><code>{escape(text)}</code></td></tr>'
        for name, text in _facts(inputs, lockfile)
    )
    return (
        "<section><h2>Built from</h2>"
        f"{_table(('View', 'Table', 'Recorded up to', 'Definition'), lines)}"
        f"<details><summary>Checksums and entity rows</summary>{_table((), [facts])}</details>"
        f'<p class="quiet">Build it again and compare: <code>provender training-set verify {lockfile.id}</code></p>'
        "</section>"
    )


def _facts(inputs: Inputs, lockfile: Lockfile) -> Sequence[tuple[str, str]]:
    origin = ", ".join(f"{name}: {value}" for name, value in inputs.entities.origin.items())
    return (
        ("Result", lockfile.result.checksum),
        ("Entity rows", inputs.entities.checksum),
        ("From", origin),
        ("Code", inputs.code),
    )


def _table(heads: Sequence[str], lines: Sequence[str]) -> str:
    """A table in a box that scrolls; a head with ``#`` is of numbers."""
    cells = "".join(
        f'<th scope="col" class="number">{head[1:]}</th>'
        if head.startswith("#")
        else f'<th scope="col">{head}</th>'
        for head in heads
    )
    head = f"<thead><tr>{cells}</tr></thead>" if cells else ""
    return f'<div class="wide"><table>{head}<tbody>{"".join(lines)}</tbody></table></div>'


def _duration(seconds: float) -> str:
    """In the largest units that say enough: ``3 d 4 h``, ``2 h 5 min``, ``40 s``."""
    whole = timedelta(seconds=round(seconds))
    days, rest = whole.days, whole.seconds
    hours, minutes = rest // 3600, rest % 3600 // 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{whole.seconds} s"

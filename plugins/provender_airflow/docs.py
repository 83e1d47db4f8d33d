"""What Airflow's UI shows of a source or a model, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from provender.errors import SpecError
from provender.specs.source import Column, FeatureTable, Source

if TYPE_CHECKING:
    from provender.specs.models import ModelSpec  # checks SQL: too much for a DAG file without models


def source_docs(source: Source) -> str:
    """Description, owner, times, columns with their contract, tables, and how to run it."""
    return "\n\n".join(
        [
            f"# {source.name}",
            _text(source.description),
            _facts(source),
            "## Raw columns and contract",
            _table(("column", "type", "contract", "description"), map(_column_row, source.columns)),
            _violations(source),
            "## Feature tables",
            *(_feature_table(source, table) for table in source.tables),
            "## Running it",
            _running(source),
        ]
    )


def model_docs(spec: ModelSpec, features: Sequence[str], sources: Sequence[str]) -> str:
    """Description, owner, rows, features, gate, and how to run it."""
    rows = [
        ("owner", spec.owner),
        ("tags", ", ".join(spec.tags) or "none"),
        ("starts", f"once for a key that all of {', '.join(sources)} have; the newest key only"),
        ("rows", f"{spec.entities.sql or spec.entities.uri}, the last {spec.window}"),
        ("label", spec.label),
        ("features", "as known at each row's time" if spec.as_known else "as true at each row's time"),
        (
            "trained by",
            f"`{spec.training.module}`, tested on the last {spec.training.test_share:.0%} of the rows",
        ),
        ("canary", ", ".join(f"{step}%" for step in (*spec.serving.canary, 100))),
        ("approval", "by a person" if spec.approval else "none"),
    ]
    gate = [(r.metric, r.min, r.max, r.max_drop, r.max_rise) for r in spec.gate]
    limits = [tuple("" if cell is None else str(cell) for cell in row) for row in gate]
    return "\n\n".join(
        [
            f"# {spec.name}",
            _text(spec.description),
            _table(("", ""), rows),
            "## Features",
            "\n".join(f"- `{name}`" for name in features),
            "## Gate",
            _table(("metric", "at least", "at most", "may drop by", "may rise by"), limits),
            "## Running it",
            (
                "By its sources' partitions, or by hand: with a partition key, or without one for the newest "
                "complete key. A rejected model is a skipped deploy, not a red run. "
                f"`provender models {spec.name}` shows what serves; `provender models rollback {spec.name}` goes back."
            ),
        ]
    )


def broken_docs(name: str, error: SpecError) -> str:
    """What is wrong with a spec."""
    return "\n\n".join(
        [
            f"# The spec {name} is broken",
            (
                "Its pipeline cannot be built; every other source runs as before. Fix the file, and this "
                "DAG is the source's again in a minute. `provender validate` shows the same in a second."
            ),
            f"```\n{str(error).replace('```', '')}\n```",
        ]
    )


def _facts(source: Source) -> str:
    rows = [
        ("owner", source.owner),
        ("tags", ", ".join(source.tags) or "none"),
        ("cadence", f"{source.cadence}, partition keys like {source.first_partition.key}"),
        ("runs from", f"{source.start:%Y-%m-%d}" + (f" to {source.end:%Y-%m-%d}" if source.end else "")),
        ("raw rows", f"{source.raw.uri} ({source.raw.format})"),
        ("expected after a partition's end", str(source.delay)),
        ("given up after another", str(source.timeout)),
        ("a raw row may be late by", str(source.lateness)),
        ("event timestamp", source.event_timestamp.column),
        (
            "created timestamp",
            source.created_timestamp.column if source.created_timestamp else "set by provender",
        ),
    ]
    return _table(("", ""), rows)


def _column_row(column: Column) -> tuple[str, ...]:
    return column.name, column.type, _contract(column), column.description


def _contract(column: Column) -> str:
    parts = ["required" if column.required else "may be null"]
    if column.min is not None:
        parts.append(f"≥ {column.min:g}")
    if column.max is not None:
        parts.append(f"≤ {column.max:g}")
    if column.allowed is not None:
        parts.append(f"one of {', '.join(column.allowed)}")
    if column.max_length is not None:
        parts.append(f"at most {column.max_length} characters")
    return "; ".join(parts)


def _violations(source: Source) -> str:
    rule = source.violations
    if rule.action == "fail":
        return "A row that breaks the contract fails the run."
    share = f"{rule.max_share:.1%}"
    return f"Rows that break the contract are quarantined; more than {share} of a partition fail the run."


def _feature_table(source: Source, table: FeatureTable) -> str:
    origin = f"by `{table.sql}`" if table.sql else "taken as it is"
    head = f"### {table.name}\n\n{_text(table.description)} Keys: {', '.join(table.keys)}; {origin}."
    rows = [(feature.name, feature.type, feature.description) for feature in source.features_of(table)]
    return f"{head}\n\n{_table(('feature', 'type', 'description'), rows)}"


def _running(source: Source) -> str:
    key, day = source.first_partition.key, f"{source.start:%Y-%m-%d}"
    backfill = f"airflow backfill create --dag-id features__{source.name} --from-date {day} --to-date {day}"
    return "\n".join(
        [
            f"- **one partition**: trigger with a partition key, like `{key}`",
            "- **a range in one Spark application**: trigger with `start` and `end`, both included",
            "- **the newest complete partition**: trigger with neither",
            f"- **a backfill, one run for each partition**: `{backfill}`; where partitions ran before, "
            "add `--reprocess-behavior completed`",
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(str(cell)) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|").replace("\n", " ")


def _text(text: str) -> str:
    """A spec's own words, which must not become markup."""
    return text.replace("<", "&lt;").strip()

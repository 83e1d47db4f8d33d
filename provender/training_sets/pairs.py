"""The rows of two training sets, paired by their entity columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from provender.point_in_time.duckdb_join import connection
from provender.training_sets.folder import TrainingSet

BEFORE, AFTER = "__before__", "__after__"
_NUMBER = "__number"
Cells = tuple[object, object]


@dataclass(frozen=True)
class Pairs:
    """What is in one only, and what is in both with other features."""

    entity_columns: tuple[str, ...]
    outputs: tuple[str, ...]
    """Feature columns that both have."""
    only_before: pa.Table
    """Entity columns."""
    only_after: pa.Table
    changed: pa.Table
    """Entity columns, then each output as ``__before__<name>`` and ``__after__<name>``; rows in order of time."""

    def counts(self) -> dict[str, int]:
        """Rows in which an output differs, for outputs that do."""
        if not self.outputs:
            return {}
        differs = [
            f"count_if({_q(BEFORE + name)} IS DISTINCT FROM {_q(AFTER + name)}) AS {_q(name)}"
            for name in self.outputs
        ]
        with connection() as duck:
            duck.register("changed", self.changed)
            found = duck.sql(f"SELECT {', '.join(differs)} FROM changed").to_arrow_table().to_pylist()
        return {name: int(count) for name, count in found[0].items() if count}


def pair(before: TrainingSet, after: TrainingSet) -> Pairs:
    """Pairs rows with equal entity columns (those both have); equal rows are paired in the order of their features."""
    a, b = before.lockfile.inputs, after.lockfile.inputs
    columns = tuple(name for name in a.entities.columns if name in b.entities.columns)
    outputs = tuple(name for name in a.outputs if name in b.outputs)
    with connection() as duck:
        duck.register("given_a", before.data())
        duck.register("given_b", after.data())
        for side in "ab":
            duck.execute(f"CREATE TEMP TABLE {side} AS {_numbered(f'given_{side}', columns, outputs)}")
        same = " AND ".join(f"a.{_q(name)} IS NOT DISTINCT FROM b.{_q(name)}" for name in (*columns, _NUMBER))
        order = f"ORDER BY {_q(a.event_timestamp)}" if a.event_timestamp in columns else ""
        return Pairs(
            columns,
            outputs,
            _only(duck, "a", "b", columns, same, order),
            _only(duck, "b", "a", columns, same, order),
            _changed(duck, columns, outputs, same, order),
        )


def _numbered(table: str, columns: Sequence[str], outputs: Sequence[str]) -> str:
    names = ", ".join(map(_q, columns))
    order = ", ".join(map(_q, outputs)) or "1"
    every = ", ".join(map(_q, (*columns, *outputs)))
    return (
        f"SELECT {every}, row_number() OVER (PARTITION BY {names} ORDER BY {order}) AS {_NUMBER} FROM {table}"
    )


def _only(
    duck: duckdb.DuckDBPyConnection, of: str, other: str, columns: Sequence[str], same: str, order: str
) -> pa.Table:
    names = ", ".join(f"{of}.{_q(name)}" for name in columns)
    return duck.sql(f"SELECT {names} FROM {of} ANTI JOIN {other} ON {same} {order}").to_arrow_table()


def _changed(
    duck: duckdb.DuckDBPyConnection, columns: Sequence[str], outputs: Sequence[str], same: str, order: str
) -> pa.Table:
    names = [f"a.{_q(name)} AS {_q(name)}" for name in columns]
    names += [
        f"{side}.{_q(n)} AS {_q(mark + n)}" for n in outputs for side, mark in (("a", BEFORE), ("b", AFTER))
    ]
    differs = " OR ".join(f"a.{_q(name)} IS DISTINCT FROM b.{_q(name)}" for name in outputs) or "false"
    return duck.sql(
        f"SELECT {', '.join(names)} FROM a JOIN b ON {same} WHERE {differs} {order}"
    ).to_arrow_table()


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

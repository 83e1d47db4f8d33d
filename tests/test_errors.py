"""Every error: documented, with four texts and a kind, and the same again after a way through JSON."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from provender import errors
from provender.errors import (
    ContractError,
    LockHeldError,
    ProvenderError,
    SqlError,
    TerminalError,
    TransientError,
    error_from_dict,
    error_kinds,
)

ROOT = Path(errors.__file__).parents[1]
KINDS = sorted(error_kinds().values(), key=lambda kind: kind.__name__)
RAISED = [kind for kind in KINDS if kind not in (ProvenderError, TerminalError, TransientError)]
EXAMPLES: dict[str, Any] = {
    "str": "one",
    "tuple[str, ...]": ("2026-01-01", "2026-01-02"),
    "dict[str, int]": {"too_late": 3},
}


def example(kind: type[ProvenderError]) -> ProvenderError:
    texts = {"what": "w", "where": "here", "not_affected": "all else", "remedy": "run again"}
    own = {each.name: EXAMPLES[str(each.type)] for each in fields(kind) if each.name not in texts}
    return kind(**texts, **own)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_four_texts_and_shows_them(kind: type[ProvenderError]) -> None:
    lines = str(example(kind)).splitlines()
    assert lines == ["w", "  Where:        here", "  Not affected: all else", "  Next:         run again"]
    assert str(kind("w")) == "w"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_same_after_a_way_through_json(kind: type[ProvenderError]) -> None:
    error = example(kind)
    restored = error_from_dict(json.loads(json.dumps(error.to_dict())))
    assert type(restored) is kind
    assert vars(restored) == vars(error)
    assert restored.to_dict() == error.to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_same_in_another_process(kind: type[ProvenderError]) -> None:
    error = example(kind)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


@pytest.mark.parametrize("kind", RAISED)
def test_every_error_says_whether_a_retry_may_help(kind: type[ProvenderError]) -> None:
    assert issubclass(kind, TerminalError) != issubclass(kind, TransientError)
    assert kind.exit_code == (3 if issubclass(kind, TerminalError) else 4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_documented_and_stands_in_the_tree(kind: type[ProvenderError]) -> None:
    assert kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(")
    lines = [line.replace("│", " ") for line in (errors.__doc__ or "").splitlines()]
    found = [line for line in lines if f" {kind.__name__} " in f"{line} "]
    depth = kind.__mro__.index(ProvenderError)
    assert [line.index(kind.__name__) for line in found] == [4 + 4 * depth]


def test_no_error_is_defined_anywhere_else() -> None:
    """Walks the source, so that no module has to be imported for it."""
    names, elsewhere = set(error_kinds()), []
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and names & {getattr(base, "id", "") for base in node.bases}:
                elsewhere.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert elsewhere == []


def _sources() -> Iterator[Path]:
    for folder in (
        "provender",
        "plugins",
        "spark_jobs",
        "training/provender_training",
        "serving/provender_serving",
    ):
        for path in (ROOT / folder).rglob("*.py"):
            if path != Path(errors.__file__):
                yield path


def test_a_document_of_an_older_version_is_read() -> None:
    old = {
        "kind": "SqlError",
        "terminal": "true",
        "what": "w",
        "where": "x.sql",
        "unharmed": "y",
        "remedy": "z",
    }
    restored = error_from_dict(old)
    assert vars(restored) == vars(SqlError("w", where="x.sql", not_affected="y", remedy="z"))


def test_a_document_of_a_newer_version_keeps_whether_a_retry_may_help() -> None:
    newer = {"kind": "FloodError", "what": "w", "attributes": {"depth": 3}}
    assert type(error_from_dict({**newer, "terminal": "true"})) is TerminalError
    assert type(error_from_dict({**newer, "terminal": "false"})) is TransientError
    known = {**LockHeldError("w", holder="me").to_dict(), "attributes": {"holder": "me", "depth": 3}}
    restored = error_from_dict(known)
    assert isinstance(restored, LockHeldError) and restored.holder == "me"


def test_a_contract_error_knows_its_partitions_and_reasons_as_data() -> None:
    error = ContractError("w", source="rides", partitions=("2026-01-01",), reasons={"too_late": 2})
    restored = error_from_dict(json.loads(json.dumps(error.to_dict())))
    assert isinstance(restored, ContractError)
    assert (restored.source, restored.partitions) == ("rides", ("2026-01-01",))
    assert restored.reasons == {"too_late": 2}

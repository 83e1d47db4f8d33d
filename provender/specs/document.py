"""A YAML file as plain values, with the line of each: what :mod:`provender.specs.loader` checks.

Plain values are dictionaries with text keys, lists, text, numbers, booleans and None. Dates stay text, so
that one function reads them. Refused here, by line: keys given twice, keys that are not text, merge keys
(``<<``), tags, values nested or repeated beyond reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from provender.specs.problems import Location, Problem

MAX_BYTES = 1_000_000
MAX_DEPTH = 12
MAX_VALUES = 100_000
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    f"{_TAG}null": SafeConstructor.construct_yaml_null,
    f"{_TAG}bool": SafeConstructor.construct_yaml_bool,
    f"{_TAG}int": SafeConstructor.construct_yaml_int,
    f"{_TAG}float": SafeConstructor.construct_yaml_float,
}
_AS_TEXT = {f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value"}


@dataclass(slots=True)
class Document:
    """One parsed file. ``values`` is usable even where there are problems."""

    path: Path
    root: Node | None = None
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, location: Location = ()) -> int:
        """1-based line of what is at ``location``, or of the nearest thing around it that exists."""
        return self._find(location)[0]

    def text(self, location: Location) -> str | None:
        """What is written at ``location``, if that is one plain value."""
        node = self._find(location)[1]
        return str(node.value) if isinstance(node, ScalarNode) else None

    def report(self, location: Location, what: str, remedy: str) -> None:
        """Adds one problem at the line of ``location``."""
        self.problems.append(Problem(self.path, self.line(location), what, remedy))

    def _find(self, location: Location) -> tuple[int, Node | None]:
        line, current = 1, self.root
        for step in location:
            entry = _entry(current, step)
            if entry is None:
                return line, None
            line, current = entry[0].start_mark.line + 1, entry[1]
        return line, current


def read_document(path: Path) -> Document:
    """Reads and parses ``path``; what is wrong with it as YAML is in the result's ``problems``."""
    document = Document(path)
    text = _read_text(document)
    if text is None:
        return document
    try:
        document.root = yaml.CSafeLoader(text).get_single_node()
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(path, error))
        return document
    if not isinstance(document.root, MappingNode):
        document.report((), "not a spec: no keys at the top level", "start with: name: " + path.stem)
        return document
    document.values = _Builder(document).build(document.root, depth=0)
    return document


def _read_text(document: Document) -> str | None:
    try:
        with document.path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        document.report((), f"cannot be read: {error.strerror}", "make it a readable file")
        return None
    if len(raw) > MAX_BYTES:
        document.report((), "too large for a spec", f"keep it under {MAX_BYTES:,} bytes")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        document.problems.append(Problem(document.path, line, "not UTF-8 text", "save the file as UTF-8"))
        return None


def _syntax_problem(path: Path, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be parsed"
    return Problem(path, mark.line + 1 if mark else 1, f"not YAML: {what}", "fix the syntax at this line")


def _entry(node: Node | None, step: str | int) -> tuple[Node, Node] | None:
    """What carries the line of the entry (a mapping's key, a list's item), and the entry's value."""
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


class _Builder:
    """Turns nodes into plain values and reports what a spec may not contain."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.scalars = SafeConstructor()
        self.count = 0

    def build(self, node: Node, depth: int) -> Any:
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_VALUES:
            # Also how a YAML bomb (aliases of aliases) and an alias to itself end.
            if self.count <= MAX_VALUES + 1:
                self._problem(node, "values nested or repeated beyond reason", "write the spec flat")
            self.count = MAX_VALUES + 1
            return None
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, depth)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.build(item, depth + 1) for item in node.value]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        built: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if key.tag not in _AS_TEXT:
                self._problem(key, f"the key {_shown(key)} is not plain text", "use the spec's own key names")
            elif key.value in built:
                what = f"the key {key.value!r} is given twice (first in line {lines[key.value]})"
                self._problem(key, what, "keep one of them")
            else:
                built[key.value] = self.build(value, depth + 1)
                lines[key.value] = key.start_mark.line + 1
        return built

    def _scalar(self, node: Node) -> Any:
        if node.tag in _AS_TEXT:
            return node.value
        construct = _SCALARS.get(node.tag)
        if construct is None or not isinstance(node, ScalarNode):
            self._problem(
                node, f"the tag {node.tag.removeprefix(_TAG)} is not allowed", "write a plain value"
            )
            return None
        try:
            return construct(self.scalars, node)
        except ValueError:
            self._problem(
                node, f"{node.value!r} is not a number", "write it in digits, or quote it if it is text"
            )
            return None

    def _problem(self, node: Node, what: str, remedy: str) -> None:
        line = node.start_mark.line + 1
        self.document.problems.append(Problem(self.document.path, line, what, remedy))


def _shown(node: Node) -> str:
    return repr(node.value) if isinstance(node, ScalarNode) else "here"

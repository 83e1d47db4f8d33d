"""Views files as syntax trees: what is written at their top level, without importing or running them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from provender.specs.problems import Problem

VIEWS_FOLDER = "views"
CALLS = ("source", "schema")


@dataclass(slots=True)
class Module:
    """A parsed views file."""

    path: Path
    tree: ast.Module
    provender_names: set[str] = field(default_factory=set)
    """What the module calls ``provender``."""
    call_names: dict[str, str] = field(default_factory=dict)
    """What it calls ``provender.source`` and ``provender.schema``, to their names."""
    values: dict[str, ast.expr] = field(default_factory=dict)
    """Names assigned at the top level, once, to what."""

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                self.provender_names |= {a.asname or a.name for a in node.names if a.name == "provender"}
            elif isinstance(node, ast.ImportFrom) and node.module == "provender":
                self.call_names |= {a.asname or a.name: a.name for a in node.names if a.name in CALLS}
        for statement in self.tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                self.values[statement.targets[0].id] = statement.value

    @property
    def renames(self) -> bool:
        """Whether it gives a source's columns other names."""
        return any(isinstance(n, ast.Attribute) and n.attr == "field_mapping" for n in ast.walk(self.tree))

    def problem(self, node: ast.AST, what: str, remedy: str) -> Problem:
        return Problem(self.path, getattr(node, "lineno", 1), what, remedy)


def parse_modules(repo: Path) -> tuple[list[Module], list[Problem]]:
    """The views files of ``repo`` that are Python, and what is wrong with the others."""
    modules, problems = [], []
    for path in sorted((repo / VIEWS_FOLDER).rglob("*.py")):
        try:
            modules.append(Module(path, ast.parse(path.read_bytes(), filename=str(path))))
        except OSError as error:
            problems.append(Problem(path, 1, f"cannot be read: {error.strerror}", "make it a readable file"))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            what = f"not Python: {getattr(error, 'msg', error)}"
            problems.append(Problem(path, line, what, "fix this line"))
        except (RecursionError, MemoryError):
            problems.append(Problem(path, 1, "nested too deeply to be read", "write it flat"))
    return modules, problems


def is_call(node: ast.AST | None, name: str) -> bool:
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    return (isinstance(function, ast.Name) and function.id == name) or (
        isinstance(function, ast.Attribute) and function.attr == name
    )


def keyword(node: ast.AST | None, name: str) -> ast.expr | None:
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return next((keyword.value for keyword in keywords if keyword.arg == name), None)


def resolved(module: Module, node: ast.expr | None) -> ast.expr | None:
    """What a name stands for, if it is assigned at the top level."""
    return module.values.get(node.id, node) if isinstance(node, ast.Name) else node


def text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

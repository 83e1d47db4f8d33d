"""What statsd_exporter does with a name, by the rules of its own documentation.

Glob rules first, in their order, where ``*`` stands for one part between dots; then regular expressions. The metric
is the rule's, with ``$1``, ``$2``, … in its labels; without a rule, the name with ``_`` for dots.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Metric:
    """What Prometheus would scrape."""

    name: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Exporter:
    """A mapping file."""

    rules: list[dict[str, Any]]

    @classmethod
    def of(cls, path: Path) -> Exporter:
        return cls(yaml.safe_load(path.read_text())["mappings"])

    def metric(self, name: str) -> Metric | None:
        """None: dropped."""
        ordered = sorted(self.rules, key=lambda rule: rule.get("match_type", "glob") != "glob")
        for rule in ordered:
            found = _pattern(rule).fullmatch(name)
            if found:
                if rule.get("action") == "drop":
                    return None
                labels = {
                    key: found.expand(str(text).replace("$", "\\"))
                    for key, text in rule.get("labels", {}).items()
                }
                return Metric(rule["name"], labels)
        return Metric(re.sub(r"\W", "_", name), {})

    @property
    def labels(self) -> dict[str, set[str]]:
        """Of each metric that is kept."""
        return {
            rule["name"]: set(rule.get("labels", {})) for rule in self.rules if rule.get("action") != "drop"
        }


def _pattern(rule: dict[str, Any]) -> re.Pattern[str]:
    if rule.get("match_type", "glob") == "regex":
        return re.compile(rule["match"])
    return re.compile(re.escape(rule["match"]).replace(r"\*", r"([^.]*)"))

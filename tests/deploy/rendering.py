"""The manifests as they are applied: rendered for a project, their kustomizations resolved."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.engine import CHECKOUT

PROJECT = "my-project"
Document = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """What ``deploy/gcp/render.sh`` made in ``folder``."""

    folder: Path

    @cached_property
    def documents(self) -> list[Document]:
        """Of ``kubernetes/`` and what it includes, generated config maps under their own names."""
        return list(_kustomized(self.folder / "kubernetes"))

    @cached_property
    def every_document(self) -> list[Document]:
        """The same, and what is applied where Kubeflow is, and where no store is managed."""
        return [
            *self.documents,
            *self.stores,
            *_kustomized(self.folder / "kubernetes" / "kubeflow"),
        ]

    @cached_property
    def stores(self) -> list[Document]:
        """Postgres and Redis of their official images."""
        return list(_kustomized(self.folder / "kubernetes" / "stores"))

    def of_kind(self, kind: str) -> list[Document]:
        return [each for each in self.documents if each["kind"] == kind]

    def named(self, kind: str) -> set[tuple[str, str]]:
        """(namespace, name) of all of a kind."""
        return {(each["metadata"]["namespace"], each["metadata"]["name"]) for each in self.of_kind(kind)}

    def values(self, chart: str) -> Document:
        """Values of a chart."""
        values: Document = yaml.safe_load((self.folder / "values" / f"{chart}.yaml").read_text())
        return values


def render(folder: Path) -> Rendered:
    """Runs the script that people run."""
    environment = {**os.environ, "PROJECT_ID": PROJECT, "INTO": str(folder)}
    subprocess.run([CHECKOUT / "deploy/gcp/render.sh"], env=environment, check=True, capture_output=True)
    return Rendered(folder)


def _kustomized(folder: Path, namespace: str = "") -> Iterator[Document]:
    """The part of kustomize that is used here: resources, a namespace, config maps of files."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    namespace = plan.get("namespace", namespace)
    for resource in plan.get("resources", []):
        path = folder / resource
        if path.is_dir():
            yield from _kustomized(path.resolve(), namespace)
        else:
            yield from yaml.safe_load_all(path.read_text())
    for generated in plan.get("configMapGenerator", []):
        yield {
            "kind": "ConfigMap",
            "metadata": {"name": generated["name"], "namespace": generated.get("namespace", namespace)},
            "data": {Path(file).name: (folder / file).read_text() for file in generated["files"]},
        }

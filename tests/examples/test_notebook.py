"""``examples/notebook`` runs, cell by cell, in a repo that ``provender init`` wrote."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.cli.main import main
from provender.cli.new_repo import write_repo
from tests.engine import CHECKOUT

NOTEBOOK = CHECKOUT / "examples/notebook/first_frame.ipynb"


@pytest.fixture
def shop(tmp_path: Path, engine_url: str) -> Path:
    """A new repo on the tests' Spark engine, with its definitions applied."""
    folder = tmp_path / "shop"
    write_repo(folder)
    path = folder / "feature_defs/feature_store.yaml"
    document = yaml.safe_load(path.read_text())
    document["provender"]["spark"] = {"remote": engine_url}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    assert main(["--repo", str(folder / "feature_defs"), "apply"]) == 0
    return folder


@pytest.mark.spark
def test_every_cell_runs_and_the_frame_has_the_features(shop: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(shop)}}).execute()
    (result,) = [output for output in notebook.cells[-1].outputs if output.output_type == "execute_result"]
    assert ast.literal_eval(result.data["text/plain"]) == [
        {"city": "Bergen", "rides": 1, "mean_fare": 30.0},
        {"city": "Oslo", "rides": 2, "mean_fare": 15.0},
    ]

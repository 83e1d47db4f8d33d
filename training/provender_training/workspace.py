"""What one step of a run leaves for the next: a folder, on a cluster on a PersistentVolumeClaim.

<workspace>/<run name>/
    train.parquet, test.parquet    the labelled rows, split by time
    lockfile.json                  of the training set
    load.json                      training set, event timestamp, label, rows without a label
    model.skops, signature.json    the fitted model
    request_only.skops             the baseline that sees request columns only, where there are some
    train.json                     classes
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from provender.training_sets.lockfile import Lockfile
from provender_training.data import Rows


@dataclass(frozen=True)
class Workspace:
    """The folder of one run."""

    folder: Path

    @classmethod
    def of_run(cls, workspace: str, run_name: str) -> Workspace:
        return cls(Path(workspace) / run_name)

    def start(self) -> None:
        """An empty folder, whatever an earlier try left."""
        self.clear()
        self.folder.mkdir(parents=True)

    def clear(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def write_json(self, name: str, document: Any) -> None:
        self.write(name, json.dumps(document, indent=1).encode())

    def read_json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def write_rows(self, name: str, rows: Rows) -> None:
        pq.write_table(rows.table, self.folder / f"{name}.parquet")

    def rows(self, name: str) -> Rows:
        loaded = self.read_json("load.json")
        table = pq.read_table(self.folder / f"{name}.parquet")
        return Rows(table, loaded["event_timestamp"], loaded["label"])

    def lockfile(self) -> Lockfile:
        return Lockfile.from_bytes(self.read("lockfile.json"), str(self.folder / "lockfile.json"))

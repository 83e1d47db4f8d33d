"""The first step of the pipeline: it needs none of the libraries that fit and draw, whose import takes seconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from provender.failures import forget_failure
from provender_training.data import labelled, read_training_set, split
from provender_training.workspace import Workspace

KEY_FILE = "/var/run/secrets/provender/key.json"
"""Where the pipeline mounts the key of a Google service account, if there is one."""


def use_service_account() -> None:
    """Google's clients take the mounted key, if there is one and the environment names no other."""
    if Path(KEY_FILE).exists():
        os.environ.setdefault("GOOGLE_APPLICATION_CREDENTIALS", KEY_FILE)


def load(
    workspace: Workspace, output_uri: str, training_set_uri: str, lockfile_uri: str, test_share: float
) -> dict[str, Any]:
    """Checks the training set against its lockfile and splits it by time. Returns what it found."""
    forget_failure(output_uri, workspace.folder.name)
    table, lockfile, text = read_training_set(training_set_uri, lockfile_uri)
    rows = labelled(table, lockfile)
    train, test = split(rows, test_share)
    loaded = {
        "training_set": training_set_uri,
        "lockfile_id": lockfile.id,
        "event_timestamp": rows.event_timestamp,
        "label": rows.label,
        "rows_without_label": len(table) - len(rows),
        "train": train.span(),
        "test": test.span(),
    }
    workspace.start()
    workspace.write_rows("train", train)
    workspace.write_rows("test", test)
    workspace.write("lockfile.json", text)
    workspace.write_json("load.json", loaded)
    return loaded

"""What every place that runs the training pipeline can do, and which one the settings name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from provender.errors import ProvenderError
from provender.local.project import project_folder
from provender_airflow.spark.backend import JobState
from provender_airflow.spark.job import job_name

__all__ = [
    "TRAINING_FOLDER_VARIABLE",
    "JobState",
    "KubeflowBackend",
    "RunHandle",
    "RunStatus",
    "TrainingRun",
    "training_folder",
    "training_run",
]
TRAINING_FOLDER_VARIABLE = "PROVENDER_TRAINING"
"""Folder of the compiled pipeline and, on one machine, of its environment (default: ``training/`` beside the repo)."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What to run: the compiled pipeline with these parameters."""

    name: str
    """Names the work, not the attempt at it: whoever submits the same name finds what already runs."""
    output_uri: str
    """The model's folder: ``versions/`` and ``runs/`` are in it."""
    parameters: Mapping[str, Any]
    """All of the pipeline's but where it runs."""


def training_run(output_uri: str, parameters: Mapping[str, Any], *who: str) -> TrainingRun:
    """A run that is named by who asks for it and by what is asked: other parameters are another run."""
    text = json.dumps(parameters, sort_keys=True)
    name = job_name(*who, hashlib.sha256(text.encode()).hexdigest())
    return TrainingRun(name, output_uri, {**parameters, "output_uri": output_uri, "run_name": name})


def training_folder(repo: Path | None = None) -> Path:
    """Return the folder of ``pipeline.yaml``: ``$PROVENDER_TRAINING``, or ``training/`` beside the feature repo."""
    return project_folder("training", TRAINING_FOLDER_VARIABLE, repo)


@dataclass(frozen=True, slots=True)
class RunHandle:
    """One attempt at a run."""

    name: str
    output_uri: str
    reference: str
    """What the backend finds it by."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How an attempt stands and, where it failed, why."""

    state: JobState
    error: ProvenderError | None = None

    @property
    def is_final(self) -> bool:
        return self.state is not JobState.RUNNING


class KubeflowBackend(Protocol):
    """Starts training runs and finds them again. All methods may raise :class:`TransientError`."""

    poll_seconds: float

    def submit(self, run: TrainingRun) -> RunHandle:
        """Starts a new attempt."""

    def find(self, run: TrainingRun) -> RunHandle | None:
        """The attempt that runs, or that ended well. One that is being ended is awaited and not offered."""

    def poll(self, handle: RunHandle) -> RunStatus:
        """How it stands. Says at the same time that somebody still awaits it."""

    def log(self, handle: RunHandle) -> list[str]:
        """The last lines of its log; of a failed attempt, those of the step that failed."""

    def take(self, handle: RunHandle) -> None:
        """Takes note of the end of an attempt."""

    def cancel(self, handle: RunHandle) -> None:
        """Ends it. Already gone is not an error."""

    def link(self, handle: RunHandle) -> str:
        """Where a person looks at it; empty if there is no such place."""

"""One Spark application, as a value."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_MAX_NAME = 63
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class SparkJob:
    """What to run."""

    module: str
    """Python module, run as ``python -m``."""
    arguments: tuple[str, ...]
    """``{attempt}`` in one becomes the submission's id."""
    name: str
    """Names the work, not the submission: whoever submits the same name finds what already runs."""
    conf: tuple[tuple[str, str], ...] = ()
    """Spark settings of this application, where it is one of its own (a cluster)."""
    labels: tuple[tuple[str, str], ...] = ()
    """Who asks for it: ``dag``, ``task``, ``run`` and ``try``, written on it where it is an object of a cluster."""
    needs_spark: bool = True
    """One that does not is a process of this machine, whatever the backend."""


def job_name(*parts: str) -> str:
    """A name of ``parts`` that is the same whenever asked and valid as a folder and as a Kubernetes object.

    Lower-case letters, digits and ``-``, 63 characters at most; different parts never give the same name.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_DIGEST]
    readable = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    return f"{readable[: _MAX_NAME - _DIGEST - 8].strip('-')}-{digest}"

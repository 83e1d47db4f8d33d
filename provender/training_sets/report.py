from __future__ import annotations

from provender.training_sets.lockfile import Lockfile
from provender.training_sets.summary import Summary


def render(lockfile: Lockfile, summary: Summary) -> str:
    return repr(summary)

"""Feast's plug-in points, and the only room that imports Feast."""

import warnings
from datetime import UTC, datetime

# Feast says so of every SparkSource, each time one is made or read from the registry; the choice is ours, not the
# user's, and its reasons are in docs/decisions.
warnings.filterwarnings("ignore", "The spark data source API is an experimental", RuntimeWarning)

IMPORTED = datetime.now(UTC)
"""For a program of this package the time at which it was started: Feast's import, which comes next, takes seconds.
(The system's start time of a process is off by as much as the clock was set since the machine started.)"""

"""Feast's plug-in points, and the only room that imports Feast."""

import warnings

# Feast says so of every SparkSource, each time one is made or read from the registry; the choice is ours, not the
# user's, and its reasons are in docs/decisions.
warnings.filterwarnings("ignore", "The spark data source API is an experimental", RuntimeWarning)

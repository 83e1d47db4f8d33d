"""The ids of the DAGs that are made from specs."""

from __future__ import annotations

SOURCE_PREFIX = "features__"
"""``features__<source>`` is the DAG of a source."""
MODEL_PREFIX = "model__"
"""``model__<model>`` is the DAG of a model."""

"""What there is: features, sources and models as typed facts, searched and shown.

specs, applied views ─▶ features, their sources, SQL and keys ┐
models, deployments  ─▶ who uses them, and which version serves ┴▶ FeatureCatalog ─▶ search, show, pages
"""

from __future__ import annotations

from provender.catalog.facts import FeatureCatalog, FeatureFact, ModelFact, SourceFact
from provender.catalog.read import read_catalog
from provender.catalog.search import Facets, search

__all__ = ["Facets", "FeatureCatalog", "FeatureFact", "ModelFact", "SourceFact", "read_catalog", "search"]

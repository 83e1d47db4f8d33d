"""Manifests and what follows from them."""

from provender.ledger.ledger import Ledger
from provender.ledger.manifest import Draft, Job, Kind, Manifest, digest

__all__ = ["Draft", "Job", "Kind", "Ledger", "Manifest", "digest"]

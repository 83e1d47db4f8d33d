"""Manifests and what follows from them."""

from provender.ledger.ledger import Ledger
from provender.ledger.manifest import Draft, digest
from provender.ledger.records import Job, Kind, Manifest

__all__ = ["Draft", "Job", "Kind", "Ledger", "Manifest", "digest"]

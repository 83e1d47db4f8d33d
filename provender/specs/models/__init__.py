"""Model specs, ``feature_defs/models/<name>.yaml``: what a model is trained on, how it is judged and served."""

from provender.specs.models.catalog import ModelCatalog
from provender.specs.models.spec import ModelSpec

__all__ = ["ModelCatalog", "ModelSpec"]

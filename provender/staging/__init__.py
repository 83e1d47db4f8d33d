"""Raw files copied into immutable staged partitions."""

from provender.staging.locate import arrived, raw_location
from provender.staging.stage import stage

__all__ = ["arrived", "raw_location", "stage"]

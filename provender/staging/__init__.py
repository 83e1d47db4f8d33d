"""Raw files copied into immutable staged partitions."""

from provender.staging.locate import arrived, raw_location
from provender.staging.stage import stage, staged_partitions

__all__ = ["arrived", "raw_location", "stage", "staged_partitions"]

"""When a model's DAG runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from airflow.timetables.base import DagRunInfo
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.timetables.trigger import CronPartitionTimetable


class ModelTimetable(PartitionedAssetTimetable):
    """Starts once for a key when all assets have it, as ``PartitionedAssetTimetable`` does.

    That one takes no ``airflow backfill create``, since it knows no dates. This one knows the partitions of the
    model's cadence: ``cron`` is their boundary, ``key_format`` their keys'.
    """

    periodic = True

    def __init__(self, *, cron: str, key_format: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._partitions = CronPartitionTimetable(cron, timezone="UTC", key_format=key_format)
        self._cron, self._key_format = cron, key_format

    @property
    def summary(self) -> str:
        return "Partitioned assets"

    def serialize(self) -> dict[str, Any]:
        return {**super().serialize(), "cron": self._cron, "key_format": self._key_format}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> ModelTimetable:
        plain = PartitionedAssetTimetable.deserialize(data)
        return cls(
            cron=data["cron"],
            key_format=data["key_format"],
            assets=plain.asset_condition,
            partition_mapper_config=plain.partition_mapper_config,
            default_partition_mapper=plain.default_partition_mapper,
        )

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterable[DagRunInfo]:
        """A run for each partition that starts within ``[earliest, latest]``: what a backfill creates."""
        return self._partitions.iter_partition_dagrun_infos(earliest=earliest, latest=latest)

    def _decode_partition_date(self, partition_key: str) -> datetime | None:
        return self._partitions.resolve_partition_date(partition_key)

"""When a model's DAG runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from airflow.serialization.decoders import decode_asset_like, decode_partition_mapper
from airflow.serialization.encoders import encode_asset_like, encode_partition_mapper
from airflow.timetables.base import DagRunInfo
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.timetables.trigger import CronPartitionTimetable

_NONE: Mapping[Any, Any] = MappingProxyType({})


class ModelTimetable(PartitionedAssetTimetable):
    """Starts once for a key when all assets have it, as ``PartitionedAssetTimetable`` does.

    That one takes no ``airflow backfill create``, since it knows no dates. This one knows the partitions of the
    model's cadence: ``cron`` is their boundary in ``zone``, ``key_format``
    their keys'.
    """

    periodic = True

    def __init__(
        self,
        *,
        cron: str,
        key_format: str,
        zone: str = "UTC",
        partition_mapper_config: Mapping[Any, Any] = _NONE,
        **kwargs: Any,
    ) -> None:
        super().__init__(partition_mapper_config=_for_scheduler(partition_mapper_config), **kwargs)
        self._partitions = CronPartitionTimetable(cron, timezone=zone, key_format=key_format)
        self._cron, self._key_format, self._zone = cron, key_format, zone

    @property
    def summary(self) -> str:
        return "Partitioned assets"

    def serialize(self) -> dict[str, Any]:
        return {**super().serialize(), "cron": self._cron, "key_format": self._key_format, "zone": self._zone}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> ModelTimetable:
        plain = PartitionedAssetTimetable.deserialize(data)
        return cls(
            cron=data["cron"],
            key_format=data["key_format"],
            zone=data.get("zone", "UTC"),
            assets=plain.asset_condition,
            partition_mapper_config=plain.partition_mapper_config,
            default_partition_mapper=plain.default_partition_mapper,
        )

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterable[DagRunInfo]:
        """A run for each partition that starts within ``[earliest, latest]``: what a backfill creates."""
        return self._partitions.iter_partition_dagrun_infos(earliest=earliest, latest=latest)

    def _decode_partition_date(self, partition_key: str) -> datetime | None:
        return self._partitions.resolve_partition_date(partition_key)


def _for_scheduler(mappers: Mapping[Any, Any]) -> dict[Any, Any]:
    """A DAG file has the SDK's assets and mappers, the scheduler's timetable wants its own."""
    return {
        decode_asset_like(encode_asset_like(asset)): decode_partition_mapper(encode_partition_mapper(mapper))
        for asset, mapper in mappers.items()
    }

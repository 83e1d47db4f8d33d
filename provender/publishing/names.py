"""What a feature table is called in BigQuery. Imports no Google client."""

from __future__ import annotations

from provender.errors import SettingsError
from provender.settings import BigQuerySettings, Settings
from provender.specs.source import FeatureTable, Source


def warehouse_of(settings: Settings) -> BigQuerySettings:
    """Raises :class:`SettingsError` where the settings name none."""
    if settings.bigquery is None:
        raise SettingsError(
            "the settings name no BigQuery data set",
            where=f"{settings.repo}/feature_store.yaml",
            not_affected="everything",
            remedy="add provender.bigquery: {project: …, dataset: …, location: …} (docs/bigquery.md)",
        )
    return settings.bigquery


def table_name(source: Source, table: FeatureTable) -> str:
    """The feature table's own name where it is its source's as well, else ``<source>__<table>``: two sources may
    each have a table of one name."""
    return table.name if table.name == source.name else f"{source.name}__{table.name}"


def full_name(warehouse: BigQuerySettings, source: Source, table: FeatureTable) -> str:
    """``project.dataset.table``."""
    return f"{warehouse.project}.{warehouse.dataset}.{table_name(source, table)}"
